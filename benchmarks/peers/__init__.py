"""Other ways to build the same thing, each as its own documentation advises. One small file each."""
