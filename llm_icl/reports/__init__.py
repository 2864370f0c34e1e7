"""The Report value, and its renderings as HTML, Markdown, terminal text and JSON."""
