"""Pictures of what happened, as SVG and as text."""
