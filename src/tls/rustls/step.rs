//! One step of a connection of rustls: what it has found in the input, and what it writes.

use ::rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};

use super::unexpected;
use crate::byte_queue::ByteQueue;
use crate::tls::RECORD;

/// What a record adds to its payload, at most: header, explicit nonce, content type, tag (RFC 8446 §5.2, RFC 5246 §6.2.3).
const OVERHEAD: usize = 64;

/// What the engine has done with its input.
pub(super) enum Step {
    /// Plaintext was returned, as long as this. The rest of the record is kept.
    Data(usize),
    /// A message of the handshake or an alert was processed or written.
    Progress,
    /// The plaintext of the program was encrypted.
    Written,
    NeedsInput,
    PeerClosed,
}

/// What is encrypted.
#[derive(Clone, Copy)]
pub(super) enum Plain<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

/// What rustls reads into and writes into.
pub(super) struct Buffers<'a> {
    pub(super) plain: &'a mut [u8],
    /// Plaintext that does not fit into `plain`.
    pub(super) rest: &'a mut ByteQueue,
    pub(super) outgoing: &'a mut ByteQueue,
}

impl Buffers<'_> {
    /// Handles what rustls has found in the input, or encrypts `to_write` if nothing else was found. Returns how many bytes of
    /// the input were used.
    pub(super) fn advance<D>(
        self,
        status: UnbufferedStatus<'_, '_, D>,
        to_write: Option<Plain<'_>>,
    ) -> (usize, std::result::Result<Step, ::rustls::Error>) {
        let mut used = status.discard;
        let step = status.state.and_then(|state| match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                let mut len = 0;
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    used += record.discard;
                    let room = self.plain.get_mut(len..).unwrap_or_default();
                    let (now, later) = record.payload.split_at(room.len().min(record.payload.len()));
                    room.get_mut(..now.len()).unwrap_or_default().copy_from_slice(now);
                    self.rest.append(later);
                    len += now.len();
                }
                Ok(Step::Data(len))
            }
            ConnectionState::EncodeTlsData(mut message) => {
                encode(&mut message, self.outgoing).map(|()| Step::Progress)
            }
            ConnectionState::TransmitTlsData(transmit) => {
                transmit.done();
                Ok(Step::Progress)
            }
            ConnectionState::WriteTraffic(traffic) => match to_write {
                Some(plain) => encrypt(traffic, plain, self.outgoing).map(|()| Step::Written),
                None => Ok(Step::NeedsInput),
            },
            ConnectionState::BlockedHandshake => Ok(Step::NeedsInput),
            ConnectionState::Closed if to_write.is_some() => Err(unexpected()),
            ConnectionState::PeerClosed | ConnectionState::Closed => Ok(Step::PeerClosed),
            _ => Err(unexpected()),
        });
        (used, step)
    }
}

/// Appends encrypted plaintext to the output.
fn encrypt<D>(
    mut traffic: WriteTraffic<'_, D>,
    plain: Plain<'_>,
    outgoing: &mut ByteQueue,
) -> std::result::Result<(), ::rustls::Error> {
    let mut room = match plain {
        Plain::Data(bytes) => bytes.len() + (bytes.len() / RECORD + 1) * OVERHEAD,
        Plain::CloseNotify => OVERHEAD,
    };
    loop {
        let written = match plain {
            Plain::Data(bytes) => traffic.encrypt(bytes, outgoing.room(room)),
            Plain::CloseNotify => traffic.queue_close_notify(outgoing.room(room)),
        };
        match written {
            Ok(len) => {
                outgoing.add(len);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(size)) => room = size.required_size,
            Err(EncryptError::EncryptExhausted) => return Err(::rustls::Error::EncryptError),
        }
    }
}

/// Appends a message of the handshake or an alert to the output.
fn encode<D>(
    message: &mut EncodeTlsData<'_, D>,
    outgoing: &mut ByteQueue,
) -> std::result::Result<(), ::rustls::Error> {
    let mut room = RECORD;
    loop {
        match message.encode(outgoing.room(room)) {
            Ok(len) => {
                outgoing.add(len);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) => room = size.required_size,
            Err(EncodeError::AlreadyEncoded) => return Err(unexpected()),
        }
    }
}
