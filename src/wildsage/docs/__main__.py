"""Rewrite docs/reference, from the root of a checkout."""

from pathlib import Path

from wildsage.docs import render

for name, text in render().items():
    path = Path("docs", "reference", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"wrote {path}")
