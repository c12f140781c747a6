//! Connections of webhooks: so many at once, each for so long, whatever comes or does not come over them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{HOOK_CONNECTIONS_MAX, HOOK_TIMEOUT};

/// A listener with a limited number of places; who finds none waits in the kernel's queue.
#[derive(Debug)]
pub(super) struct Door<L> {
    listener: L,
    places: Arc<Semaphore>,
}

impl<L> Door<L> {
    pub(super) fn new(listener: L) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(HOOK_CONNECTIONS_MAX)) }
    }
}

impl<L: Listener> Listener for Door<L> {
    type Io = Timed<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // None only where somebody closes it, which nobody does.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = self.listener.accept().await;
        let ends = Box::pin(sleep_until(Instant::now() + HOOK_TIMEOUT));
        (Timed { stream, ends, preface: Some(0), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends by itself.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    ends: Pin<Box<Sleep>>,
    /// Bytes of [`PREFACE`] that came first; none once something else did.
    preface: Option<usize>,
    _place: Option<OwnedSemaphorePermit>,
}

/// How a connection of HTTP/2 begins. It would carry hundreds of requests at once, each with a body.
const PREFACE: &[u8] = b"PRI * HTTP/2";

impl<S> Timed<S> {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.ends.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Refuses HTTP/2, which the server would speak to who begins with it.
    fn check_beginning(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            let Some(known) = self.preface else { return Ok(()) };
            self.preface = (PREFACE.get(known) == Some(byte)).then_some(known + 1);
            if self.preface == Some(PREFACE.len()) {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let came = buffer.filled().get(before..).unwrap_or_default();
        self.check_beginning(came)?;
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
