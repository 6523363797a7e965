//! Configuration of the Plinth binaries: one file, documented defaults, the environment.
