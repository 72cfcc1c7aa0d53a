"""Everything that knows hls4ml: conversion, projects, their C++, C simulation, lint, tool reports.

It uses ``network``, ``values`` and ``protocols``. Begin with ``graph`` (a design as hls4ml's nodes) and
``project`` (writing one); ``folder`` reads the project of any user, ``reports`` what the tools wrote.
"""
