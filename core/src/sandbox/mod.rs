//! Throwaway clusters of real etcd processes on this machine.

/// Says whether a text can be the name of a sandbox: one plain word, because it becomes part of a path.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
