"""Speed and memory beside hand-written NumPy, PyTorch, JAX, MyGrad and autograd."""
