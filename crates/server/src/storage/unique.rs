//! Names for STOU: what the peer proposed, and letters that nobody else draws.
//!
//! It does not look whether a name is free: that is the storage's.

/// How much of the proposed name is used, so that the letters and an extension still fit.
const MAX_STEM: usize = 180;

/// The longest end of a name that counts as an extension (`.pdf`, `.torrent`).
const MAX_EXTENSION: usize = 12;

/// The name where the peer proposed none. Origin: `ftp` begins proftpd's names for STOU.
const NO_HINT: &[u8] = b"ftp";

/// `scan.pdf` becomes `scan-k3x9q2wm.pdf`: always with letters, so that of two scanners which send
/// at the same moment none finds its name taken at the end. Its extension stays.
pub(super) fn name(hint: &[u8], random: [u8; 16]) -> Vec<u8> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let hint = hint.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let usable =
        !hint.is_empty() && hint.first() != Some(&b'.') && !hint.iter().any(u8::is_ascii_control);
    let hint = if usable { hint } else { NO_HINT };
    let dot = hint.iter().rposition(|&byte| byte == b'.');
    let dot = dot.filter(|dot| hint.len() - dot <= MAX_EXTENSION).unwrap_or(hint.len());
    let (stem, extension) = hint.split_at_checked(dot).unwrap_or((hint, b""));
    let mut name = stem.get(..stem.len().min(MAX_STEM)).unwrap_or_default().to_vec();
    name.push(b'-');
    let drawn = random.iter().take(8).map(|byte| usize::from(byte % 32));
    name.extend(drawn.filter_map(|letter| LETTERS.get(letter)));
    name.extend_from_slice(extension);
    name
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn the_extension_stays_and_the_rest_is_safe() {
        let zero = [0; 16];
        assert_eq!(name(b"scan.pdf", zero), b"scan-aaaaaaaa.pdf");
        assert_eq!(name(b"dir/scan", zero), b"scan-aaaaaaaa");
        assert_eq!(name(b"", zero), b"ftp-aaaaaaaa");
        assert_eq!(name(b"..", zero), b"ftp-aaaaaaaa");
        assert_eq!(name(b".twoport-x.part", zero), b"ftp-aaaaaaaa");
        assert_eq!(name(b"a\r\nb", zero), b"ftp-aaaaaaaa");
        assert!(name(&[b'x'; 255], zero).len() < 200);
        assert_eq!(name(b"a", [255; 16]), b"a-99999999");
    }
}
