"""The Report value, and its renderings as HTML, Markdown, terminal text, JSON and files for a paper."""
