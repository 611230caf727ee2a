//! How the C library gives memory back to the system.
//!
//! It allocates nothing.

/// Blocks from a MiB on are given back as soon as they are freed, and less than that is kept for the
/// next. glibc would learn from the first such block, and keep all later ones: the 19 MiB that each
/// check of a password takes for a moment would stay with the process (measured: 115 MiB after a
/// burst of log-ins). With 128 KiB, what it keeps by itself, each batch of TLS records would come as
/// fresh pages (measured: a tenth of the CPU of a download).
///
/// What is kept is kept in one heap for each core and one more. By itself glibc has eight for each core,
/// one for each thread that came first, and each keeps what its threads once needed: 16 threads wait for
/// disks here, a few at a time.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    {
        const FROM: libc::c_int = 1024 * 1024;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let heaps = libc::c_int::try_from(cores + 1).unwrap_or(libc::c_int::MAX);
        // SAFETY: each call sets one number in the allocator, under its own lock.
        let _accepted = unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, FROM)
                & libc::mallopt(libc::M_TRIM_THRESHOLD, FROM)
                & libc::mallopt(libc::M_ARENA_MAX, heaps)
        };
    }
}
