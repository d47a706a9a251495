#include "io/detail/clock.hpp"
#include "io/stt/session_core.hpp"

#include <algorithm>
#include <utility>

namespace sealine::io::stt {

namespace {

constexpr std::uint16_t kAbandoned = 256;  ///< its Stream was destroyed before its end

bool has_ended(const Error& error) { return error.code == Errc{}; }

error_code read_code(const Error& error) {
  return has_ended(error) ? error_code(net::error::eof) : to_error_code(error);
}

// Whether the session has closed a stream, and the event that says so is still to come: what has
// ended it (the peer's RESET or STOP) is said before that.
bool is_told_soon(const Error& error, bool is_gone) {
  return error.code == Errc::stream_unknown && !is_gone;
}

}  // namespace

SessionCore::StreamState* SessionCore::find(StreamId id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : &found->second;
}

// --- events
// ---------------------------------------------------------------------------------------

bool SessionCore::take_events() {
  bool any = false;
  while (session_) {
    auto event = session_->poll_event();
    if (!event) break;
    any = true;
    if (observer_) observer_(*event);
    take_event(*event);
  }
  if (any) hand_out_streams();
  return any;
}

void SessionCore::take_event(const ::sealine::stt::Session::Event& event) {
  if (const auto* opened = std::get_if<::sealine::stt::StreamOpened>(&event)) {
    streams_[opened->stream].is_held = false;
    opened_.emplace_back(opened->stream, opened->options);
  } else if (const auto* readable = std::get_if<::sealine::stt::StreamReadable>(&event)) {
    if (StreamState* stream = find(readable->stream)) try_read(readable->stream, *stream);
  } else if (const auto* writable = std::get_if<::sealine::stt::StreamWritable>(&event)) {
    if (StreamState* stream = find(writable->stream)) try_write(writable->stream, *stream);
  } else if (const auto* reset_by_peer = std::get_if<::sealine::stt::StreamReset>(&event)) {
    if (StreamState* stream = find(reset_by_peer->stream)) {
      stream->read_fault = Error{Errc::stream_reset, reset_by_peer->code};
      try_read(reset_by_peer->stream, *stream);
    }
  } else if (const auto* stopped = std::get_if<::sealine::stt::StreamStopped>(&event)) {
    if (StreamState* stream = find(stopped->stream)) {
      stream->write_fault = Error{Errc::stream_stopped, stopped->code};
      try_write(stopped->stream, *stream);
    }
  } else if (const auto* gone = std::get_if<::sealine::stt::StreamClosed>(&event)) {
    if (StreamState* stream = find(gone->stream)) {
      stream->is_gone = true;
      try_read(gone->stream, *stream);
      try_write(gone->stream, *stream);
      forget_if_done(gone->stream);
    }
  } else if (const auto* moved = std::get_if<::sealine::stt::PathChanged>(&event)) {
    wire_->take_path(moved->path);
  } else if (const auto* closed = std::get_if<SessionClosed>(&event)) {
    session_closed(*closed);
  }
}

void SessionCore::session_closed(const SessionClosed& closed) {
  if (!outcome_) outcome_ = closed;
  if (phase_ == Phase::open) {
    phase_ = Phase::closing;
    linger_until_ = detail::now() + std::chrono::seconds(5);
  }
  end_operations(end_error());
}

Error SessionCore::end_error() const {
  if (!outcome_) return {Errc::truncated, 0};
  if (outcome_->fault.code != Errc{}) return outcome_->fault;
  return outcome_->by_peer ? Error{Errc::truncated, 0} : Error{Errc::already_closed, 0};
}

// --- streams
// --------------------------------------------------------------------------------------

void SessionCore::hand_out_streams() {
  if (!accept_) return;
  if (!opened_.empty()) {
    const auto [id, options] = opened_.front();
    opened_.pop_front();
    streams_[id].is_held = true;
    finish(std::move(accept_), error_code(), Stream(shared_from_this(), id, options));
  } else if (outcome_) {
    const bool is_clean = outcome_->code == 0 && outcome_->fault.code == Errc{};
    finish(std::move(accept_), is_clean ? error_code(net::error::eof) : to_error_code(end_error()),
           Stream());
  }
}

void SessionCore::start_accept(Accepted done) {
  if (accept_) {
    finish(std::move(done), make_error_code(Errc::operation_in_progress), Stream());
    return;
  }
  accept_ = std::move(done);
  hand_out_streams();
}

void SessionCore::cancel_accept() {
  if (accept_) finish(std::move(accept_), error_code(net::error::operation_aborted), Stream());
}

void SessionCore::start_drain(Done done) {
  if (drain_ || !session_) {
    finish(std::move(done), make_error_code(Errc::operation_in_progress));
    return;
  }
  if (phase_ == Phase::closed) {
    const bool is_clean = outcome_ && outcome_->code == 0 && outcome_->fault.code == Errc{};
    finish(std::move(done), is_clean ? error_code() : to_error_code(end_error()));
    return;
  }
  drain_ = std::move(done);
  session_->drain(detail::now());
  after_call();
}

Result<Stream> SessionCore::open(const StreamOptions& options) {
  if (!session_) return std::unexpected(Error{Errc::already_closed, 0});
  SEALINE_TRY(id, session_->open(options, detail::now()));
  streams_[id];
  return Stream(shared_from_this(), id, options);
}

void SessionCore::forget_if_done(StreamId id) {
  const StreamState* stream = find(id);
  if (stream != nullptr && stream->is_gone && !stream->is_held) streams_.erase(id);
}

void SessionCore::abandon_stream(StreamId id) {
  StreamState* stream = find(id);
  if (stream == nullptr) return;
  stream->is_held = false;
  if (session_ && phase_ == Phase::open && !stream->is_gone) {
    if (!stream->has_finished) {
      static_cast<void>(session_->reset(id, kAbandoned, detail::now()).has_value());
    }
    if (!stream->has_ended) {
      static_cast<void>(session_->stop(id, kAbandoned, detail::now()).has_value());
    }
  }
  cancel_stream(id);
  after_call();
  forget_if_done(id);
}

void SessionCore::reset(StreamId id, std::uint16_t code) {
  if (session_) static_cast<void>(session_->reset(id, code, detail::now()).has_value());
  after_call();
}

void SessionCore::stop(StreamId id, std::uint16_t code) {
  if (session_) static_cast<void>(session_->stop(id, code, detail::now()).has_value());
  after_call();
}

void SessionCore::cancel_stream(StreamId id) {
  StreamState* stream = find(id);
  if (stream == nullptr) return;
  const error_code aborted = net::error::operation_aborted;
  if (stream->read) end_read(id, *stream, aborted);
  if (stream->read_message) finish(std::move(stream->read_message), aborted);
  if (stream->write) finish(std::move(stream->write), aborted, std::size_t{0});
  if (stream->write_message) finish(std::move(stream->write_message), aborted);
}

void SessionCore::end_operations(const Error& error) {
  for (auto& [id, stream] : streams_) {
    try_read(id, stream);  // what came before the end is still there to be read
    if (stream.read) end_read(id, stream, read_code(error));
    if (stream.read_message) finish(std::move(stream.read_message), read_code(error));
    if (stream.write) finish(std::move(stream.write), to_error_code(error), std::size_t{0});
    if (stream.write_message) finish(std::move(stream.write_message), to_error_code(error));
  }
  hand_out_streams();
}

// --- reading and writing
// --------------------------------------------------------------------------

// Without a byte; its memory is the application's again.
void SessionCore::end_read(StreamId id, StreamState& stream, const error_code& code) {
  if (session_) session_->offer(id, {});
  finish(std::move(stream.read), code, std::size_t{0});
}

void SessionCore::start_read(StreamId id, MutableBytes target, Moved done) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->read || stream->read_message) {
    const Errc why = stream == nullptr ? Errc::stream_unknown : Errc::operation_in_progress;
    return finish(std::move(done), make_error_code(why), std::size_t{0});
  }
  stream->read = std::move(done);
  stream->read_target = target;
  try_read(id, *stream);
  if (!stream->read && !stream->read_message) after_call();  // credit may be due
}

void SessionCore::start_read_message(StreamId id, std::vector<std::uint8_t>& message, Done done) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->read || stream->read_message) {
    const Errc why = stream == nullptr ? Errc::stream_unknown : Errc::operation_in_progress;
    return finish(std::move(done), make_error_code(why));
  }
  message.clear();
  stream->read_message = std::move(done);
  stream->message = &message;
  try_read(id, *stream);
  if (!stream->read && !stream->read_message) after_call();  // credit may be due
}

void SessionCore::try_read(StreamId id, StreamState& stream) {
  if (!stream.read && !stream.read_message) return;
  const auto end = [&](const error_code& code) {
    if (stream.read) end_read(id, stream, code);
    if (stream.read_message) finish(std::move(stream.read_message), code);
  };
  if (stream.has_ended) return end(net::error::eof);
  if (stream.read_fault) return end(to_error_code(*stream.read_fault));

  const TimePoint now = detail::now();
  if (stream.read) {
    if (stream.read_target.empty())
      return finish(std::move(stream.read), error_code(), std::size_t{0});
    const auto read = session_->read(id, stream.read_target, now);
    if (!read && !outcome_ && is_told_soon(read.error(), stream.is_gone)) return;
    if (!read) return end(outcome_ ? read_code(end_error()) : to_error_code(read.error()));
    stream.has_ended = read->finished;
    if (read->bytes > 0) return finish(std::move(stream.read), error_code(), read->bytes);
    if (read->finished) return end(net::error::eof);
    if (outcome_) return end(read_code(end_error()));
    return session_->offer(id, stream.read_target);
  }
  std::vector<std::uint8_t>& message = *stream.message;
  const std::size_t before = message.size();
  message.resize(before + session_->readable_bytes(id));
  const auto read = session_->read(id, MutableBytes(message).subspan(before), now);
  message.resize(before + (read ? read->bytes : 0));
  if (!read && !outcome_ && is_told_soon(read.error(), stream.is_gone)) return;
  if (!read) return end(outcome_ ? read_code(end_error()) : to_error_code(read.error()));
  stream.has_ended = read->finished;
  if (read->message_end) return finish(std::move(stream.read_message), error_code());
  if (read->finished) return end(net::error::eof);
  if (outcome_) end(read_code(end_error()));
}

void SessionCore::start_write(StreamId id, ByteView source, Moved done) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->write || stream->write_message) {
    const Errc why = stream == nullptr ? Errc::stream_unknown : Errc::operation_in_progress;
    return finish(std::move(done), make_error_code(why), std::size_t{0});
  }
  stream->write = std::move(done);
  stream->write_source = source;
  if (const std::size_t bytes = try_write(id, *stream); bytes > 0) after_write(bytes);
}

void SessionCore::start_write_message(StreamId id, ByteView message, Done done) {
  StreamState* stream = find(id);
  if (stream == nullptr || stream->write || stream->write_message) {
    const Errc why = stream == nullptr ? Errc::stream_unknown : Errc::operation_in_progress;
    return finish(std::move(done), make_error_code(why));
  }
  stream->write_message = std::move(done);
  stream->write_source = message;
  if (const std::size_t bytes = try_write(id, *stream); bytes > 0) after_write(bytes);
}

// What the session took, in bytes; an empty message as one.
std::size_t SessionCore::try_write(StreamId id, StreamState& stream) {
  if (!stream.write && !stream.write_message) return 0;
  const auto end = [&](const Error& error) -> std::size_t {
    if (stream.write) finish(std::move(stream.write), to_error_code(error), std::size_t{0});
    if (stream.write_message) finish(std::move(stream.write_message), to_error_code(error));
    return 0;
  };
  if (stream.write_fault) return end(*stream.write_fault);
  if (outcome_ || stream.is_gone)
    return end(outcome_ ? end_error() : Error{Errc::already_closed, 0});
  const auto taken = session_->write(id, stream.write_source, detail::now());
  if (!taken && taken.error().code == Errc::window_full) return 0;  // until StreamWritable
  if (!taken && is_told_soon(taken.error(), stream.is_gone)) return 0;
  if (!taken) return end(taken.error());
  if (*taken == 0 && !stream.write_source.empty()) return 0;
  if (stream.write_message) {
    finish(std::move(stream.write_message), error_code());
  } else {
    finish(std::move(stream.write), error_code(), *taken);
  }
  return std::max<std::size_t>(*taken, 1);
}

void SessionCore::start_shutdown(StreamId id, Done done) {
  error_code ec;
  StreamState* const stream = find(id);
  if (!session_ || outcome_) {
    ec = to_error_code(end_error());
  } else if (const auto finished = session_->finish(id, detail::now()); finished) {
    if (stream != nullptr) stream->has_finished = true;
  } else if (stream == nullptr || !stream->is_gone) {
    ec = to_error_code(finished.error());  // else it is over in both directions, its FIN was sent
  }
  finish(std::move(done), ec);
  after_call();
}

}  // namespace sealine::io::stt
