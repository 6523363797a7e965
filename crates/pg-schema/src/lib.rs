//! The diesel schema of the Plinth database, and nothing else.
