"""The files that hold tensors: zip archives of torch, and safetensors."""
