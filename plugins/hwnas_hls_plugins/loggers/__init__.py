"""Examples of plugins on the notify hooks: runs in TensorBoard and in MLflow.

They are not registered by themselves. In Python, pass the module: ``run_search(..., plugins=[tensorboard])``;
for the command line, name it in the entry points of your own package.
"""
