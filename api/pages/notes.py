"""Pages without style or script, for where the dashboard cannot be shown."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · GAN Clinic</title>
</head>
<body>
<main>
<h1>{title}</h1>
{text}
</main>
</body>
</html>
"""
NO_PAGES = _PAGE.format(
    title="The service runs; its pages are not built",
    text="""<p>Build them in the checkout, then start the service again:</p>
<pre>make dashboard</pre>
<p>That needs the npm registry once. Where it cannot be reached, build on another machine and copy the folder
<code>api/pages/built</code> here.</p>
<p>The commands and the API work without the pages: <code>ganclinic ls</code>, <code>ganclinic show RUN</code>.</p>""",
)
LINK_IS_OVER = _PAGE.format(
    title="This link is over",
    text="""<p>A link of <code>ganclinic open</code> is good once, for two minutes. Make another:</p>
<pre>ganclinic open</pre>
<p>Or <a href="/">log in with your token</a>.</p>""",
)
