"""Where applications look for exceptions and inner names of onnxruntime."""
