"""Tests of finished classic BPF programs."""
