# The pages that the API shows.
FROM node:24.19.0-trixie-slim AS pages
WORKDIR /srv/dashboard
COPY dashboard/package.json dashboard/package-lock.json dashboard/.npmrc ./
RUN npm ci
COPY dashboard ./
COPY docs/images/findings /srv/docs/images/findings
RUN npm run build -- /srv/built

# The API, and the migration step. No torch.
FROM python:3.11.15-slim-trixie

WORKDIR /srv/ganclinic
ENV PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp/matplotlib

# The packages that it needs, in a layer of their own: an edit of the code does not install them again.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir --constraint constraints.txt setuptools
RUN pip install --no-cache-dir --constraint constraints.txt --no-build-isolation '.[server,traces]'
COPY ganclinic ./ganclinic
COPY ganlib ./ganlib
RUN pip install --no-cache-dir --no-deps --no-build-isolation --force-reinstall .
COPY migrations ./migrations
COPY store ./store
COPY api ./api
COPY --from=pages /srv/built ./api/pages/built
COPY docker/entrypoint.sh ./docker/

# A volume that is mounted here takes this owner.
RUN useradd --system --uid 10001 ganclinic && install -d -o ganclinic -m 700 /var/lib/ganclinic
ENV GANCLINIC_HOME=/var/lib/ganclinic GANCLINIC_HOST=0.0.0.0
VOLUME /var/lib/ganclinic
USER ganclinic
EXPOSE 8000
ENTRYPOINT ["/srv/ganclinic/docker/entrypoint.sh"]
CMD ["python", "-m", "api"]
