"""The page: what a visitor sees, and what happens when they press something. Only this and app.py know Gradio."""
