"""The live page: pictures, figures and buttons in a browser, and Prometheus on the same port."""
