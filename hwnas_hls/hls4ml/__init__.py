"""Everything specific to hls4ml: conversion, projects, their C++, C simulation, lint, tool reports.

It uses ``network``, ``values`` and ``protocols``. Begin with ``graph`` (a design as hls4ml's nodes) and
``project`` (writes a project); ``folder`` reads existing projects, ``reports`` the reports of HLS tools.
"""
