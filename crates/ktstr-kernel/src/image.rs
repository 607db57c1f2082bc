//! The x86 kernel image: from the compressed bzImage to the ELF inside.
//!
//! Offsets are those of the kernel's boot protocol (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").

use std::io::{self, Read};

/// `boot_flag`: 0xAA55 at this offset.
const BOOT_FLAG: usize = 0x1FE;
/// `header`: "HdrS".
const HEADER_MAGIC: usize = 0x202;
/// `version` of the boot protocol; `payload_offset` exists from 2.08 on.
const PROTOCOL: usize = 0x206;
/// `kernel_version`: where the version text is, less 0x200.
const KERNEL_VERSION: usize = 0x20E;
/// `setup_sects`: 512-byte sectors of setup code after the boot sector; 0 means 4.
const SETUP_SECTS: usize = 0x1F1;
/// `payload_offset`, from the start of the protected-mode code.
const PAYLOAD_OFFSET: usize = 0x248;
/// `payload_length`.
const PAYLOAD_LENGTH: usize = 0x24C;
/// No kernel is near this size; a damaged length field must not fill the memory.
const MAX_VMLINUX: u64 = 1 << 30;

/// Why an image could not be opened up.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The boot protocol's signatures are not there.
    #[error("not an x86 kernel image: {0}; give a bzImage or an ELF vmlinux")]
    NotAnImage(&'static str),
    /// The header points outside the file.
    #[error("truncated kernel image: the header promises {wanted} bytes and there are {have}; fetch it again")]
    Truncated {
        /// Where the payload should end.
        wanted: u64,
        /// The file's length.
        have: u64,
    },
    /// A compression that this build does not read.
    #[error(
        "the kernel image is compressed with {0}, which is not supported; give its vmlinux, or a kernel built with zstd, xz or gzip"
    )]
    Compression(&'static str),
    /// The payload is damaged.
    #[error("failed to decompress the kernel image: {0}; fetch it again")]
    Payload(io::Error),
    /// What came out is no kernel.
    #[error("the kernel image does not contain an ELF file; fetch it again")]
    NotElf,
}

/// The ELF kernel inside a bzImage. An image that is an ELF file already is returned as it is.
///
/// # Errors
/// [`ImageError`], for every input that is not a whole kernel.
pub fn decompress_bzimage(image: &[u8]) -> Result<Vec<u8>, ImageError> {
    if is_elf(image) {
        return Ok(image.to_vec());
    }
    let payload = payload(image)?;
    let vmlinux = decompress(payload)?;
    if is_elf(&vmlinux) { Ok(vmlinux) } else { Err(ImageError::NotElf) }
}

/// The release of a bzImage, as `uname -r` will say it.
pub fn kernel_release(image: &[u8]) -> Option<String> {
    check_header(image).ok()?;
    let at = usize::from(le16(image, KERNEL_VERSION)?);
    if at == 0 {
        return None;
    }
    let text = image.get(at + 0x200..)?;
    let end = text.iter().take(256).position(|&b| b == 0 || b == b' ')?;
    let release = std::str::from_utf8(&text[..end]).ok()?;
    (!release.is_empty()).then(|| release.to_owned())
}

/// Whether `bytes` start an ELF file.
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

fn check_header(image: &[u8]) -> Result<(), ImageError> {
    if le16(image, BOOT_FLAG) != Some(0xAA55) {
        return Err(ImageError::NotAnImage("no boot flag"));
    }
    if image.get(HEADER_MAGIC..HEADER_MAGIC + 4) != Some(b"HdrS") {
        return Err(ImageError::NotAnImage("no setup header"));
    }
    Ok(())
}

fn payload(image: &[u8]) -> Result<&[u8], ImageError> {
    check_header(image)?;
    if le16(image, PROTOCOL).is_none_or(|v| v < 0x0208) {
        return Err(ImageError::NotAnImage("boot protocol older than 2.08"));
    }
    let sectors = match image[SETUP_SECTS] {
        0 => 4,
        n => u64::from(n),
    };
    let (Some(offset), Some(length)) = (le32(image, PAYLOAD_OFFSET), le32(image, PAYLOAD_LENGTH)) else {
        return Err(ImageError::NotAnImage("header cut short"));
    };
    let start = (sectors + 1) * 512 + u64::from(offset);
    let end = start + u64::from(length);
    let have = image.len() as u64;
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    range.and_then(|(start, end)| image.get(start..end)).ok_or(ImageError::Truncated { wanted: end, have })
}

/// Decompresses the first stream of `payload`; what the kernel's build appends (the size) is left alone.
fn decompress(payload: &[u8]) -> Result<Vec<u8>, ImageError> {
    match payload {
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(payload).map_err(ImageError::Payload)?;
            decoder.window_log_max(31).map_err(ImageError::Payload)?; // built with -22 --ultra: windows beyond the default limit
            read_all(decoder.single_frame())
        }
        [0x1F, 0x8B, ..] => read_all(flate2::bufread::GzDecoder::new(payload)),
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => read_xz(payload),
        [0x02, 0x21, 0x4C, 0x18, ..] => Err(ImageError::Compression("lz4")),
        [b'B', b'Z', b'h', ..] => Err(ImageError::Compression("bzip2")),
        [0x89, b'L', b'Z', b'O', ..] => Err(ImageError::Compression("lzo")),
        [0x5D, 0, 0, ..] => Err(ImageError::Compression("lzma")),
        _ if is_elf(payload) => Ok(payload.to_vec()),
        _ => Err(ImageError::Compression("something unknown")),
    }
}

fn read_all(reader: impl Read) -> Result<Vec<u8>, ImageError> {
    let mut out = Vec::new();
    reader.take(MAX_VMLINUX).read_to_end(&mut out).map_err(ImageError::Payload)?;
    Ok(out)
}

/// One xz stream; the kernel's build appends the uncompressed size behind it (scripts/Makefile.lib, `size_append`), which the
/// crate's reader takes for a damaged second stream.
fn read_xz(payload: &[u8]) -> Result<Vec<u8>, ImageError> {
    const STEP: usize = 4 << 20;
    let failed = |e: xz2::stream::Error| ImageError::Payload(e.into());
    let mut stream = xz2::stream::Stream::new_stream_decoder(u64::MAX, 0).map_err(failed)?;
    let mut out = Vec::new();
    loop {
        let done = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        let (input, before) = (payload.get(done..).unwrap_or_default(), out.len());
        out.reserve(STEP);
        let status = stream.process_vec(input, &mut out, xz2::stream::Action::Run).map_err(failed)?;
        if status == xz2::stream::Status::StreamEnd {
            return Ok(out);
        }
        let stands_still = input.is_empty() && out.len() == before;
        if stands_still || out.len() as u64 > MAX_VMLINUX {
            return Err(ImageError::Payload(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    /// A bzImage with this payload and release, and nothing else in it.
    pub(crate) fn bzimage(payload: &[u8], release: &str) -> Vec<u8> {
        let mut image = vec![0_u8; 5 * 512];
        image[BOOT_FLAG..BOOT_FLAG + 2].copy_from_slice(&[0x55, 0xAA]);
        image[HEADER_MAGIC..HEADER_MAGIC + 4].copy_from_slice(b"HdrS");
        image[PROTOCOL..PROTOCOL + 2].copy_from_slice(&[0x0F, 0x02]);
        image[KERNEL_VERSION..KERNEL_VERSION + 2].copy_from_slice(&0x400_u16.to_le_bytes());
        let text = format!("{release} (someone@somewhere) #1\0");
        image[0x600..0x600 + text.len()].copy_from_slice(text.as_bytes());
        let length = u32::try_from(payload.len()).expect("small");
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image
    }

    fn zst(elf: &[u8]) -> Vec<u8> {
        let mut out = zstd::encode_all(elf, 1).expect("compresses");
        out.extend_from_slice(&u32::try_from(elf.len()).expect("small").to_le_bytes());
        out
    }

    fn elf() -> Vec<u8> {
        [b"\x7fELF".as_slice(), &[7; 3000]].concat()
    }

    #[test]
    fn each_known_compression_gives_the_elf_back() {
        let elf = elf();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&elf).expect("compresses");
        let mut xz = xz2::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&elf).expect("compresses");
        let xz = [xz.finish().expect("ends"), vec![1, 2, 3, 4]].concat();
        for payload in [zst(&elf), gz.finish().expect("ends"), xz, elf.clone()] {
            assert_eq!(decompress_bzimage(&bzimage(&payload, "6.18")).expect("opens"), elf);
        }
        assert_eq!(decompress_bzimage(&elf).expect("already open"), elf);
    }

    #[test]
    fn an_unknown_compression_is_named() {
        let lz4 = bzimage(&[0x02, 0x21, 0x4C, 0x18, 0, 0], "6.8");
        assert!(decompress_bzimage(&lz4).expect_err("not read").to_string().contains("lz4"));
    }

    #[test]
    fn a_truncated_image_says_so_and_a_payload_without_a_kernel_is_refused() {
        let image = bzimage(&zst(&elf()), "6.18");
        let cut = decompress_bzimage(&image[..image.len() - 9]).expect_err("cut");
        assert!(matches!(cut, ImageError::Truncated { .. }), "{cut}");
        assert!(matches!(decompress_bzimage(&bzimage(&zst(b"text"), "6.18")), Err(ImageError::NotElf)));
        assert!(matches!(decompress_bzimage(b"MZ"), Err(ImageError::NotAnImage(_))));
    }

    #[test]
    fn the_release_ends_at_the_first_blank() {
        assert_eq!(
            kernel_release(&bzimage(&[], "6.18.15+deb13-cloud-amd64")).as_deref(),
            Some("6.18.15+deb13-cloud-amd64")
        );
        assert_eq!(kernel_release(b"short"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..3000), sign: bool) {
            if sign && bytes.len() > 0x250 {
                bytes[BOOT_FLAG..BOOT_FLAG + 2].copy_from_slice(&[0x55, 0xAA]);
                bytes[HEADER_MAGIC..HEADER_MAGIC + 4].copy_from_slice(b"HdrS");
            }
            let _ = decompress_bzimage(&bytes);
            let _ = kernel_release(&bytes);
        }

        #[test]
        fn a_flipped_payload_byte_never_panics(at in 0_usize..40, bit in 0_u8..8) {
            let mut payload = zst(&elf());
            let at = at % payload.len();
            payload[at] ^= 1 << bit;
            let _ = decompress_bzimage(&bzimage(&payload, "6.18"));
        }
    }
}
