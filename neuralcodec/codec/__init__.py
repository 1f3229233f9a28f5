"""What encoder and decoder share: the symbols of a GOP, tensors, threads, devices."""
