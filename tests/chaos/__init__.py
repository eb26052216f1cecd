"""The oracle test: a pipeline under attack must end with exactly what its sensors were told is safe."""
