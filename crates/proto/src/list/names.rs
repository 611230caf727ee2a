//! The name list of NLST: a name per line and nothing else (RFC 959 §4.1.3).
//!
//! It does not decide which names: a server lists what RETR can fetch (RFC 1123 §4.1.2.7).

use alloc::vec::Vec;

use super::fits_on_a_line;

/// Appends `name` and CRLF to `out`. A name with a CR, LF or NUL cannot stand on a line: it is left
/// out, and the answer is `false`.
pub fn write(out: &mut Vec<u8>, name: &[u8]) -> bool {
    if !fits_on_a_line(name) {
        return false;
    }
    out.extend_from_slice(name);
    out.extend_from_slice(b"\r\n");
    true
}
