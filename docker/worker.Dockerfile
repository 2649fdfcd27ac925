# A worker and the training processes that it starts.
FROM python:3.11.15-slim-trixie

WORKDIR /srv/ganclinic
ENV PYTHONUNBUFFERED=1

# The packages that it needs, in a layer of their own: an edit of the code does not install them again.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir --constraint constraints.txt setuptools
RUN pip install --no-cache-dir --constraint constraints.txt --no-build-isolation '.[server,train,traces]'
COPY ganclinic ./ganclinic
COPY ganlib ./ganlib
RUN pip install --no-cache-dir --no-deps --no-build-isolation --force-reinstall .
COPY migrations ./migrations
COPY store ./store
COPY worker ./worker
COPY docker/entrypoint.sh ./docker/

# A volume that is mounted here takes this owner.
RUN useradd --system --uid 10001 ganclinic && install -d -o ganclinic -m 700 /var/lib/ganclinic
ENV GANCLINIC_HOME=/var/lib/ganclinic
VOLUME /var/lib/ganclinic
USER ganclinic
ENTRYPOINT ["/srv/ganclinic/docker/entrypoint.sh"]
CMD ["python", "-m", "worker"]
