//! Signatures of recent messages, to refuse replays.

use std::collections::{HashSet, VecDeque};

/// The number of signatures kept, as in ipykernel.
const MAX_SIGNATURES: usize = 1 << 16;

/// The signatures of the most recent messages.
#[derive(Debug, Default)]
pub struct RecentSignatures {
    known: HashSet<Vec<u8>>,
    order: VecDeque<Vec<u8>>,
}

impl RecentSignatures {
    /// Adds a signature; the oldest is forgotten when there are too many. Returns false if it is known already.
    pub fn insert(&mut self, signature: Vec<u8>) -> bool {
        if !self.known.insert(signature.clone()) {
            return false;
        }
        self.order.push_back(signature);
        if self.order.len() > MAX_SIGNATURES {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.known.remove(&oldest));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_accepted_once_while_it_is_remembered() {
        let mut recent = RecentSignatures::default();
        let signature = |i: usize| i.to_string().into_bytes();
        assert!(recent.insert(signature(0)));
        assert!(!recent.insert(signature(0)));
        assert!((1..=MAX_SIGNATURES).all(|i| recent.insert(signature(i))));
        assert_eq!(recent.known.len(), MAX_SIGNATURES);
        assert!(!recent.insert(signature(MAX_SIGNATURES)));
        assert!(recent.insert(signature(0)), "the oldest is forgotten");
    }
}
