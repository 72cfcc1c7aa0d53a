"""The built-in search spaces: MLPs, cells, convolutional cells, hierarchies of cells.

They use the engine only. Begin with ``mlp``; ``layer_knobs`` and ``layer_settings`` define the layers
of all spaces.
"""
