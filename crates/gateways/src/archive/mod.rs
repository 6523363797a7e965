//! Archives of usage events: a folder of files that any program reads.

mod csv;
mod folder;

pub use folder::FolderArchive;
