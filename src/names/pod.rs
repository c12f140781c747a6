//! What OpenShift calls the things that a rollout makes (rule D10).

use super::{BuildNumber, ObjectName, Revision};

/// The longest name of a pod: that of a DNS subdomain.
const POD_NAME_MAX: usize = 253;

/// The name of a rollout, which in a cluster is that of its `ReplicationController`.
#[must_use]
pub fn rollout_name(object: &ObjectName, revision: Revision) -> String {
    format!("{object}-{}", revision.0)
}

/// The name of a build (rule B4).
#[must_use]
pub fn build_name(object: &ObjectName, number: BuildNumber) -> String {
    format!("{object}-{number}")
}

/// The name of the pod that carries a rollout out.
#[must_use]
pub fn deployer_name(rollout: &str) -> String {
    pod_name(rollout, "deploy")
}

/// The name of the pod of a hook; `which` is `pre`, `mid` or `post`.
#[must_use]
pub fn hook_name(rollout: &str, which: &str) -> String {
    pod_name(rollout, &format!("hook-{which}"))
}

/// A base with a suffix; a base that is too long is cut, and a hash of it tells it from others that begin alike.
#[must_use]
pub fn pod_name(base: &str, suffix: &str) -> String {
    limited(base, suffix, POD_NAME_MAX)
}

fn limited(base: &str, suffix: &str, max: usize) -> String {
    let whole = format!("{base}-{suffix}");
    if whole.len() <= max {
        return whole;
    }
    // Two hyphens and eight digits.
    match max.checked_sub(suffix.len() + 10) {
        Some(room) => format!("{}-{:08x}-{suffix}", cut(base, room), fnv1a(base)),
        None => {
            let begin = cut(base, max.saturating_sub(9));
            cut(&format!("{begin}-{:08x}", fnv1a(&whole)), max).to_owned()
        }
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// FNV-1a, 32 bits.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_told_apart() {
        assert_eq!(fnv1a(""), 0x811c_9dc5);
        assert_eq!(fnv1a("a"), 0xe40c_292c);
        assert_eq!(fnv1a("foobar"), 0xbf9c_f968);
        assert_eq!(limited("web-1", "deploy", 12), "web-1-deploy");
        let cut = limited("foobar-long-1", "pre", 16);
        assert!(cut.starts_with("foo-") && cut.ends_with("-pre"), "{cut}");
        assert_eq!(cut.len(), 16);
        assert_ne!(cut, limited("foobar-long-2", "pre", 16));
        for max in 0..20 {
            assert!(limited("foobar-long-1", "a-long-suffix", max).len() <= max);
        }
    }
}
