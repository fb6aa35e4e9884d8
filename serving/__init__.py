"""Serving: the embedded server, the clients, the web page, and the files that deploy TensorFlow Serving.

What a TensorFlow Serving client may rely on, and where each piece of it is done: docs/serving.md.
"""
