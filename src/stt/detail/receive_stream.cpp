#include "stt/detail/receive_stream.hpp"

#include "sealine/base/reader.hpp"
#include "sealine/wire/varint.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sealine::stt::detail {
namespace {

// What an incomplete message costs beside its bytes.
constexpr std::size_t kAssemblyBytes = 256;

ReceiveStream::Added fault(CloseCode code) {
  return {.credit = 0, .fault = Fault{code}, .is_dropped = false};
}

}  // namespace

Result<DataBody> parse_data(StreamMode mode, std::uint8_t flags, ByteView body) {
  DataBody data;
  data.fin = (flags & flag::kFin) != 0;
  data.message_end = (flags & flag::kMessageEnd) != 0;
  Reader reader(body);
  if (mode != StreamMode::ordered) {
    const auto id = wire::read_varint(reader);
    if (!id) return fail(Errc::protocol_broken);
    data.id = *id;
  }
  const auto offset = wire::read_varint(reader);
  if (!offset) return fail(Errc::protocol_broken);
  data.offset = *offset;
  data.bytes = reader.rest();
  if (mode == StreamMode::ordered && data.message_end) return fail(Errc::protocol_broken);
  return data;
}

ReceiveStream::Added ReceiveStream::add(const DataBody& data, std::uint64_t allowed) {
  if (ending_ == Ending::reset) return {};
  return mode_ == StreamMode::ordered ? add_bytes(data, allowed) : add_fragment(data, allowed);
}

bool ReceiveStream::use(std::uint64_t credit, std::uint64_t allowed) noexcept {
  if (credit > allowed) return false;
  used_ += credit;
  if (stopped_) consumed_ = used_;
  return true;
}

ReceiveStream::Added ReceiveStream::add_bytes(const DataBody& data, std::uint64_t allowed) {
  const std::uint64_t end = data.offset + data.bytes.size();
  if (end < data.offset) return fault(CloseCode::flow);
  if (ending_ == Ending::fin && (end > final_ || (data.fin && end != final_))) {
    return fault(CloseCode::stream);
  }
  if (data.fin && end < highest_) return fault(CloseCode::stream);
  const Span span{.begin = std::max(data.offset, read_), .end = std::max(end, read_)};
  if (there_.size() >= kMaxGaps && there_.would_grow(span)) {
    return {.credit = 0, .fault = {}, .is_dropped = true};
  }

  Added added;
  if (end > highest_) {
    added.credit = end - highest_;
    if (!use(added.credit, allowed)) return fault(CloseCode::flow);
    highest_ = end;
  }
  if (data.fin) {
    ending_ = Ending::fin;
    final_ = end;
  }
  if (!stopped_ && span.begin < span.end) {
    store(span, data.bytes.last(static_cast<std::size_t>(span.end - span.begin)));
  }
  return added;
}

// What the reader waits for goes to its place, the rest to the buffer.
void ReceiveStream::store(Span span, ByteView bytes) {
  const std::uint64_t next = read_ + placed_;
  const bool is_next = span.begin <= next && next < span.end;
  if (is_next && placed_ < place_.size() && there_.contiguous_end(read_) == next) {
    const ByteView fresh = bytes.subspan(static_cast<std::size_t>(next - span.begin));
    const std::size_t count = std::min(fresh.size(), place_.size() - placed_);
    std::memcpy(place_.data() + placed_, fresh.data(), count);
    placed_ += count;
    there_.add({.begin = next, .end = next + count});
    bytes = fresh.subspan(count);
    span.begin = next + count;
  }
  if (bytes.empty()) return;
  buffer_.write(span.begin, bytes);
  there_.add(span);
}

void ReceiveStream::offer(MutableBytes place) {
  take_offer_back();
  if (mode_ == StreamMode::ordered && !stopped_) place_ = place;
}

void ReceiveStream::take_offer_back() {
  buffer_.write(read_, place_.first(placed_));
  place_ = {};
  placed_ = 0;
}

bool ReceiveStream::is_known(std::uint64_t id) const noexcept {
  return id < oldest_ || (done_ != nullptr && id < next_ && done_->test(id % kMessageIdWindow));
}

ReceiveStream::Added ReceiveStream::add_message_end(const DataBody& data) {
  if (!data.bytes.empty() || data.message_end || data.offset != 0) return fault(CloseCode::stream);
  if (data.id < next_ || (ending_ == Ending::fin && data.id != final_)) {
    return fault(CloseCode::stream);
  }
  ending_ = Ending::fin;
  final_ = data.id;
  return {};
}

// Modes partial and unreliable: the window slides with the newest id; what falls out of it is over.
void ReceiveStream::slide_window(std::uint64_t id) {
  if (id >= next_ && id - next_ >= kMessageIdWindow) {
    done_->reset();
    next_ = id;
  }
  for (; next_ <= id; ++next_) done_->reset(next_ % kMessageIdWindow);
  const std::uint64_t low = next_ > kMessageIdWindow ? next_ - kMessageIdWindow : 0;
  give_up_below(low);
  oldest_ = std::max(oldest_, low);
}

ReceiveStream::Added ReceiveStream::add_fragment(const DataBody& data, std::uint64_t allowed) {
  if (data.fin) return add_message_end(data);
  const std::uint64_t end = data.offset + data.bytes.size();
  if (end < data.offset || end > kMaxMessageBytes) return fault(CloseCode::limit);
  if (ending_ == Ending::fin && data.id >= final_) return fault(CloseCode::stream);
  if (mode_ == StreamMode::unreliable && (!data.message_end || data.offset != 0)) {
    return fault(CloseCode::protocol);
  }
  if (mode_ == StreamMode::unordered && data.id >= oldest_ + kMessageIdWindow) {
    return fault(CloseCode::stream);
  }
  if (data.id == UINT64_MAX) return fault(CloseCode::stream);
  if (done_ == nullptr) done_ = std::make_unique<Done>();
  if (mode_ != StreamMode::unordered) {
    if (next_ > kMessageIdWindow && data.id < next_ - kMessageIdWindow) return {};
    slide_window(data.id);
  }
  if (is_known(data.id)) return {};

  Added added;
  const auto known = open_.find(data.id);
  const Assembly* message = known != open_.end() ? &known->second : nullptr;
  const std::uint64_t highest = message != nullptr ? message->highest : 0;
  if (message != nullptr) {
    const auto& size = message->size;
    if (size && (end > *size || (data.message_end && end != *size)))
      return fault(CloseCode::stream);
    if (message->there.size() >= kMaxGaps &&
        message->there.would_grow({.begin = data.offset, .end = end})) {
      return {.credit = 0, .fault = {}, .is_dropped = true};
    }
  }
  if (data.message_end && end < highest) return fault(CloseCode::stream);
  if (mode_ == StreamMode::unordered) {
    added.credit =
        (message == nullptr ? kMessageCreditBytes : 0) + (end > highest ? end - highest : 0);
    if (!use(added.credit, allowed)) return fault(CloseCode::flow);
  }
  next_ = std::max(next_, data.id + 1);
  store_fragment(data, end);
  return added;
}

void ReceiveStream::give_up_below(std::uint64_t id) {
  while (!open_.empty() && open_.begin()->first < id) {
    open_bytes_ -= kAssemblyBytes + open_.begin()->second.bytes.size();
    open_.erase(open_.begin());
  }
}

// No credit bounds what is incomplete in mode partial: the oldest is given up where it is too much.
void ReceiveStream::trim_open() {
  if (mode_ != StreamMode::partial) return;
  while (open_bytes_ > kDatagramQueueBytes && open_.size() > 1) {
    const std::uint64_t victim = open_.begin()->first;
    give_up_below(victim + 1);
    done_->set(victim % kMessageIdWindow);
  }
  advance_oldest();
}

void ReceiveStream::store_fragment(const DataBody& data, std::uint64_t end) {
  const auto [at, is_new] = open_.try_emplace(data.id);
  Assembly& message = at->second;
  if (is_new) open_bytes_ += kAssemblyBytes;
  message.highest = std::max(message.highest, end);
  if (data.message_end) message.size = end;
  if (!stopped_) {
    if (message.bytes.size() < end) {
      open_bytes_ += static_cast<std::size_t>(end) - message.bytes.size();
      message.bytes.resize(static_cast<std::size_t>(end));
    }
    std::ranges::copy(data.bytes, message.bytes.begin() + static_cast<std::ptrdiff_t>(data.offset));
  }
  message.there.add({.begin = data.offset, .end = end});
  if (message.size && message.there.contiguous_end(0) == *message.size) {
    auto bytes = std::move(message.bytes);
    open_bytes_ -= kAssemblyBytes + bytes.size();
    open_.erase(at);
    complete(data.id, std::move(bytes));
  }
  trim_open();
}

void ReceiveStream::complete(std::uint64_t id, std::vector<std::uint8_t> message) {
  done_->set(id % kMessageIdWindow);
  advance_oldest();
  if (stopped_) return;
  whole_bytes_ += message.size();
  whole_.push_back(std::move(message));
  trim_queue();
}

void ReceiveStream::advance_oldest() {
  while (oldest_ < next_ && done_->test(oldest_ % kMessageIdWindow)) {
    done_->reset(oldest_ % kMessageIdWindow);
    ++oldest_;
  }
}

void ReceiveStream::trim_queue() {
  if (mode_ == StreamMode::ordered || mode_ == StreamMode::unordered) return;
  // The oldest goes first, but not the one that is being read.
  while (whole_bytes_ > kDatagramQueueBytes && whole_.size() > 1) {
    const auto victim = whole_.begin() + (read_of_front_ > 0 ? 1 : 0);
    whole_bytes_ -= victim->size();
    whole_.erase(victim);
  }
}

ReceiveStream::Added ReceiveStream::reset(std::uint64_t final_size, std::uint64_t allowed) {
  if (ending_ == Ending::reset) return {};
  const bool differs =
      mode_ == StreamMode::ordered && ending_ == Ending::fin && final_size != final_;
  if (final_size < used_ || differs) return fault(CloseCode::stream);
  // All of it is here already: whoever reads gets it, and its end.
  if (has_all()) return {};
  Added added;
  added.credit = final_size - used_;
  if (!use(added.credit, allowed)) return fault(CloseCode::flow);
  ending_ = Ending::reset;
  stop();
  return added;
}

void ReceiveStream::stop() {
  stopped_ = true;
  place_ = {};
  placed_ = 0;
  consumed_ = used_;
  buffer_.release();
  if (mode_ != StreamMode::ordered) {
    for (auto& [id, message] : open_) std::vector<std::uint8_t>().swap(message.bytes);
    open_bytes_ = open_.size() * kAssemblyBytes;
  }
  whole_.clear();
  whole_bytes_ = 0;
  read_of_front_ = 0;
}

std::uint64_t ReceiveStream::take_consumed() noexcept {
  const std::uint64_t since = consumed_ - reported_;
  reported_ = consumed_;
  return since;
}

void ReceiveStream::abandon(std::uint64_t up_to) {
  if (mode_ != StreamMode::partial) return;
  give_up_below(up_to);
  oldest_ = std::max(oldest_, up_to);
  next_ = std::max(next_, oldest_);
  if (done_ != nullptr) advance_oldest();
}

Read ReceiveStream::read(MutableBytes out) {
  Read result;
  if (mode_ == StreamMode::ordered) {
    if (out.data() != place_.data() || out.size() < placed_) take_offer_back();
    result.bytes = std::exchange(placed_, 0);
    place_ = {};
    read_ += result.bytes;
    const std::uint64_t end = there_.contiguous_end(read_);
    while (result.bytes < out.size()) {
      const ByteView piece = buffer_.piece(read_, end);
      if (piece.empty()) break;
      const std::size_t count = std::min(piece.size(), out.size() - result.bytes);
      std::memcpy(out.data() + result.bytes, piece.data(), count);
      result.bytes += count;
      read_ += count;
    }
    consumed_ += result.bytes;
    buffer_.drop_below(read_);
    there_.drop_below(read_);
    if (there_.size() == 0) buffer_.release();
  } else if (!whole_.empty()) {
    std::vector<std::uint8_t>& front = whole_.front();
    const std::size_t count = std::min(out.size(), front.size() - read_of_front_);
    std::copy_n(front.begin() + static_cast<std::ptrdiff_t>(read_of_front_), count, out.begin());
    result.bytes = count;
    read_of_front_ += count;
    if (read_of_front_ == front.size()) {
      result.message_end = true;
      if (mode_ == StreamMode::unordered) consumed_ += front.size() + kMessageCreditBytes;
      whole_bytes_ -= front.size();
      whole_.pop_front();
      read_of_front_ = 0;
    }
  }
  result.finished = is_all_read();
  end_was_read_ = end_was_read_ || result.finished;
  return result;
}

std::size_t ReceiveStream::readable_bytes() const noexcept {
  if (stopped_) return 0;
  if (mode_ == StreamMode::ordered) {
    return static_cast<std::size_t>(there_.contiguous_end(read_) - read_);
  }
  return whole_.empty() ? 0 : whole_.front().size() - read_of_front_;
}

bool ReceiveStream::has_all() const noexcept {
  if (ending_ == Ending::reset) return true;
  if (ending_ == Ending::none) return false;
  if (mode_ == StreamMode::ordered) return stopped_ || there_.contiguous_end(read_) == final_;
  return mode_ == StreamMode::unreliable || oldest_ >= final_;
}

bool ReceiveStream::is_all_read() const noexcept {
  if (stopped_ || !has_all()) return false;
  return mode_ == StreamMode::ordered ? read_ == final_ : whole_.empty();
}

bool ReceiveStream::is_over() const noexcept { return stopped_ ? has_all() : end_was_read_; }

bool ReceiveStream::is_readable() const noexcept {
  if (is_all_read()) return !end_was_read_;
  return mode_ == StreamMode::ordered ? readable_bytes() > 0 : !whole_.empty();
}

}  // namespace sealine::stt::detail
