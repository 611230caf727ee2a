//! Bytes cut into pieces by chance that can be repeated: what networks do to a conversation.
//!
//! It sends nothing. The same seed gives the same cuts.

use std::time::Duration;

/// A source of cuts and delays.
#[derive(Clone, Debug)]
pub struct Chop(u64);

impl Chop {
    /// With a seed. 0 never cuts and never waits.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The pieces of `bytes`, each with the time to wait before it is sent. They are small at
    /// first, since lines are; what is long is not cut to dust.
    #[must_use]
    pub fn pieces<'a>(&mut self, bytes: &'a [u8]) -> Vec<(Duration, &'a [u8])> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while self.0 != 0 && rest.len() > 1 && pieces.len() < 8 {
            let most = rest.len().min(12) as u64;
            let length = usize::try_from(1 + self.draw() % most).unwrap_or(1);
            let (piece, behind) = rest.split_at_checked(length).unwrap_or((rest, b""));
            pieces.push((self.delay(), piece));
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push((self.delay(), rest));
        }
        pieces
    }

    /// Mostly none, sometimes long enough for the peer to read a piece alone.
    fn delay(&mut self) -> Duration {
        let drawn = if self.0 == 0 { 0 } else { self.draw() % 4 };
        match drawn {
            0 | 1 => Duration::ZERO,
            2 => Duration::from_micros(300),
            _ => Duration::from_millis(2),
        }
    }

    /// Marsaglia's xorshift: good enough to choose where to cut.
    const fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 33
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_make_the_whole_and_the_seed_makes_the_pieces() {
        let bytes = b"USER ann\r\nPASS secret\r\n";
        for seed in 0..50 {
            let pieces = Chop::new(seed).pieces(bytes);
            let whole: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece.to_vec()).collect();
            assert_eq!(whole, bytes);
            assert_eq!(pieces, Chop::new(seed).pieces(bytes));
            assert!(seed == 0 || pieces.len() > 1);
        }
    }
}
