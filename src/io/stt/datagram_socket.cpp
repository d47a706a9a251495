#include "io/stt/datagram_socket.hpp"

#include "io/detail/clock.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <utility>

namespace sealine::io::stt {

using net::ip::udp;

namespace {

// Of Linux 4.18 and 5.0; older headers do not name them.
constexpr int kUdpSegment = 103;
constexpr int kUdpGro = 104;
constexpr int kProbe = 3;  ///< IP_PMTUDISC_PROBE and its twin: never fragmented, never refused
constexpr int kEct0 = 2;

/// Room for the segment size, our address, the mark and the count of overflows.
constexpr std::size_t kControlBytes = 160;

struct alignas(cmsghdr) Control {
  std::array<std::uint8_t, kControlBytes> bytes;
};

template <class T>
T value_of(const cmsghdr& message) {
  T value{};
  std::memcpy(&value, CMSG_DATA(&message), sizeof value);
  return value;
}

int set(int handle, int level, int name, int value) {
  return ::setsockopt(handle, level, name, &value, sizeof value);
}

error_code last_error() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return net::error::would_block;
  return {errno, net::error::get_system_category()};
}

/// Failures of segmentation by a device, or by a socket without checksums.
bool is_of_segmentation(const error_code& ec) {
  return ec.value() == EIO || ec.value() == EINVAL || ec.value() == EMSGSIZE;
}

/// What is lost like any datagram: too large for the path, or dropped by a queue or a filter.
bool is_loss(const error_code& ec) {
  return ec.value() == EMSGSIZE || ec.value() == ENOBUFS || ec.value() == EPERM ||
         ec.value() == ENOMEM;
}

/// What the kernel gives of a buffer's size: it doubles what was asked for, for itself.
std::size_t grow_buffer(int handle, int forced, int plain, std::size_t bytes) {
  if (set(handle, SOL_SOCKET, forced, static_cast<int>(bytes)) != 0) {
    (void)set(handle, SOL_SOCKET, plain, static_cast<int>(bytes));
  }
  int given = 0;
  socklen_t size = sizeof given;
  if (::getsockopt(handle, SOL_SOCKET, plain, &given, &size) != 0) return 0;
  return static_cast<std::size_t>(given) / 2;
}

/// What came with a datagram beside its bytes.
void read_control(msghdr& head, IncomingTrain& train, std::uint64_t& overflowed) {
  for (cmsghdr* message = CMSG_FIRSTHDR(&head); message != nullptr;
       message = CMSG_NXTHDR(&head, message)) {
    if (message->cmsg_level == SOL_UDP && message->cmsg_type == kUdpGro) {
      const int bytes = value_of<int>(*message);
      if (bytes > 0) train.datagram_bytes = static_cast<std::size_t>(bytes);
    } else if (message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_TOS) {
      train.mark = static_cast<EcnMark>(value_of<std::uint8_t>(*message) & 3U);
    } else if (message->cmsg_level == IPPROTO_IPV6 && message->cmsg_type == IPV6_TCLASS) {
      train.mark = static_cast<EcnMark>(static_cast<unsigned>(value_of<int>(*message)) & 3U);
    } else if (message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_PKTINFO) {
      const auto info = value_of<in_pktinfo>(*message);
      train.to = net::ip::address_v4(ntohl(info.ipi_addr.s_addr));
    } else if (message->cmsg_level == IPPROTO_IPV6 && message->cmsg_type == IPV6_PKTINFO) {
      const auto info = value_of<in6_pktinfo>(*message);
      net::ip::address_v6::bytes_type bytes;
      std::memcpy(bytes.data(), &info.ipi6_addr, bytes.size());
      net::ip::address_v6 address(bytes);
      if (address.is_link_local()) address.scope_id(info.ipi6_ifindex);
      train.to = address;
    } else if (message->cmsg_level == SOL_SOCKET && message->cmsg_type == SO_RXQ_OVFL) {
      overflowed = value_of<std::uint32_t>(*message);
    }
  }
}

/// Writes control messages one behind the other.
class ControlWriter {
 public:
  explicit ControlWriter(Control& out) : out_(&out) {}

  template <class T>
  void put(int level, int type, const T& value) {
    cmsghdr head{};
    head.cmsg_level = level;
    head.cmsg_type = type;
    head.cmsg_len = CMSG_LEN(sizeof value);
    std::uint8_t* const at = out_->bytes.data() + used_;
    std::memset(at, 0, CMSG_SPACE(sizeof value));
    std::memcpy(at, &head, sizeof head);
    std::memcpy(at + CMSG_LEN(0), &value, sizeof value);
    used_ += CMSG_SPACE(sizeof value);
  }

  void put_source(const net::ip::address& from, bool is_ipv6) {
    if (from.is_unspecified()) return;
    if (is_ipv6) {
      const net::ip::address_v6 address =
          from.is_v6() ? from.to_v6() : net::ip::make_address_v6(net::ip::v4_mapped, from.to_v4());
      in6_pktinfo info{};
      const auto bytes = address.to_bytes();
      std::memcpy(&info.ipi6_addr, bytes.data(), bytes.size());
      info.ipi6_ifindex = static_cast<unsigned>(address.scope_id());
      put(IPPROTO_IPV6, IPV6_PKTINFO, info);
    } else if (from.is_v4()) {
      in_pktinfo info{};
      info.ipi_spec_dst.s_addr = htonl(from.to_v4().to_uint());
      put(IPPROTO_IP, IP_PKTINFO, info);
    }
  }

  /// Puts what was written behind `head`.
  void give(msghdr& head) {
    head.msg_control = used_ == 0 ? nullptr : out_->bytes.data();
    head.msg_controllen = used_;
  }

 private:
  Control* out_;
  std::size_t used_ = 0;
};

/// sendmsg takes both as if it wrote to them.
iovec vector_of(ByteView bytes) {
  return {.iov_base = const_cast<std::uint8_t*>(bytes.data()), .iov_len = bytes.size()};
}

void set_target(msghdr& head, const UdpAddress* to) {
  if (to == nullptr) return;
  head.msg_name = const_cast<UdpAddress::data_type*>(to->data());
  head.msg_namelen = static_cast<socklen_t>(to->size());
}

/// Wakes a sink; or, dropped unrun, tells it that its context is gone.
class Waker {
 public:
  Waker(std::shared_ptr<DatagramSink> sink, void (DatagramSink::*what)())
      : sink_(std::move(sink)), what_(what) {}

  Waker(Waker&&) noexcept = default;
  Waker& operator=(Waker&&) noexcept = default;
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  ~Waker() {
    if (sink_) sink_->drop_operations();
  }

  void operator()(const error_code& ec = {}) {
    const auto sink = std::move(sink_);
    if (!ec) ((*sink).*what_)();
  }

 private:
  std::shared_ptr<DatagramSink> sink_;
  void (DatagramSink::*what_)();
};

}  // namespace

DatagramSocket::DatagramSocket(const net::any_io_executor& executor,
                               const DatagramSettings& settings)
    : socket_(executor), settings_(settings) {}

// --- opening
// --------------------------------------------------------------------------------------

void DatagramSocket::open(const udp& family, bool both_families, error_code& ec) {
  socket_.open(family, ec);
  if (!ec) socket_.non_blocking(true, ec);
  if (!ec && family == udp::v6()) socket_.set_option(net::ip::v6_only(!both_families), ec);
  if (ec) return;
  is_ipv6_ = family == udp::v6();
  set_up();
}

// What the kernel does not have is done without.
void DatagramSocket::set_up() {
  const int handle = socket_.native_handle();
  if (settings_.shares_address) (void)set(handle, SOL_SOCKET, SO_REUSEPORT, 1);
  if (is_ipv6_) {
    (void)set(handle, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    (void)set(handle, IPPROTO_IPV6, IPV6_TCLASS, kEct0);
    (void)set(handle, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    (void)set(handle, IPPROTO_IPV6, IPV6_MTU_DISCOVER, kProbe);
  }
  // Of a socket for both families these are about what travels as IPv4.
  (void)set(handle, IPPROTO_IP, IP_RECVTOS, 1);
  (void)set(handle, IPPROTO_IP, IP_TOS, kEct0);
  (void)set(handle, IPPROTO_IP, IP_MTU_DISCOVER, kProbe);
  if (!is_ipv6_) (void)set(handle, IPPROTO_IP, IP_PKTINFO, 1);
  (void)set(handle, SOL_SOCKET, SO_RXQ_OVFL, 1);
  counts_.receive_buffer_bytes =
      grow_buffer(handle, SO_RCVBUFFORCE, SO_RCVBUF, settings_.buffer_bytes);
  counts_.send_buffer_bytes =
      grow_buffer(handle, SO_SNDBUFFORCE, SO_SNDBUF, settings_.buffer_bytes);
  counts_.sends_trains = settings_.sends_trains && set(handle, SOL_UDP, kUdpSegment, 0) == 0;
  counts_.receives_trains = settings_.receives_trains && set(handle, SOL_UDP, kUdpGro, 1) == 0;
}

void DatagramSocket::bind(const UdpAddress& local, bool both_families, error_code& ec) {
  open(local.protocol(), both_families, ec);
  if (!ec) socket_.bind(local, ec);
  error_code ignored;
  if (ec) socket_.close(ignored);
}

void DatagramSocket::connect(const UdpAddress& peer, error_code& ec) {
  ec = {};
  if (!socket_.is_open()) open(peer.protocol(), false, ec);
  if (ec) return;
  // The address of ours that an earlier call has chosen is given up first.
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  (void)::connect(socket_.native_handle(), &none, sizeof none);
  socket_.connect(peer, ec);
}

UdpAddress DatagramSocket::local_endpoint() const {
  error_code ignored;
  return socket_.local_endpoint(ignored);
}

void DatagramSocket::close() {
  error_code ignored;
  socket_.close(ignored);
}

// --- receiving
// ------------------------------------------------------------------------------------

void DatagramSocket::receive(ReceiveBatch& batch, error_code& ec) {
  constexpr std::size_t kTrains = ReceiveBatch::kTrains;
  std::array<mmsghdr, kTrains> heads{};
  std::array<iovec, kTrains> vectors{};
  std::array<Control, kTrains> controls;
  for (std::size_t i = 0; i < kTrains; ++i) {
    const MutableBytes room = batch.room(i);
    UdpAddress& from = batch.train(i).from;
    vectors[i] = {.iov_base = room.data(), .iov_len = room.size()};
    msghdr& head = heads[i].msg_hdr;
    head.msg_name = from.data();
    head.msg_namelen = static_cast<socklen_t>(from.capacity());
    head.msg_iov = &vectors[i];
    head.msg_iovlen = 1;
    head.msg_control = controls[i].bytes.data();
    head.msg_controllen = kControlBytes;
  }
  batch.set_count(0);
  const int count =
      ::recvmmsg(socket_.native_handle(), heads.data(), kTrains, MSG_DONTWAIT, nullptr);
  ec = count < 0 ? last_error() : error_code();
  if (count < 0) return;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    IncomingTrain& train = batch.train(i);
    train.bytes = batch.room(i).first(heads[i].msg_len);
    train.datagram_bytes = std::max<std::size_t>(train.bytes.size(), 1);
    train.from.resize(heads[i].msg_hdr.msg_namelen);
    train.to = net::ip::address();
    train.mark = EcnMark::none;
    read_control(heads[i].msg_hdr, train, counts_.overflowed);
  }
  batch.set_count(static_cast<std::size_t>(count));
  eager_wait_.handle_something();
}

// --- sending
// --------------------------------------------------------------------------------------

void DatagramSocket::send(const OutgoingTrain& train, error_code& ec) {
  ec = {};
  const bool is_train = train.bytes.size() > train.datagram_bytes;
  if (is_train && !counts_.sends_trains) return send_one_by_one(train, ec);

  Control control;
  ControlWriter writer(control);
  if (is_train) writer.put(SOL_UDP, kUdpSegment, static_cast<std::uint16_t>(train.datagram_bytes));
  writer.put_source(train.from, is_ipv6_);
  iovec vector = vector_of(train.bytes);
  msghdr head{};
  set_target(head, train.to);
  head.msg_iov = &vector;
  head.msg_iovlen = 1;
  writer.give(head);
  if (::sendmsg(socket_.native_handle(), &head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return;
  ec = last_error();
  if (is_train && is_of_segmentation(ec)) {
    // Devices without checksums, and too small ones, refuse trains: what goes by itself goes so
    // from now on. What does not go at all says nothing about trains.
    ++counts_.unsegmented;
    send_one_by_one(train, ec);
    return;
  }
  if (is_loss(ec)) ec = {};
}

void DatagramSocket::send_one_by_one(const OutgoingTrain& train, error_code& ec) {
  ec = {};
  Control control;
  ControlWriter writer(control);
  writer.put_source(train.from, is_ipv6_);
  std::array<mmsghdr, kMaxTrainDatagrams> heads{};
  std::array<iovec, kMaxTrainDatagrams> vectors{};
  ByteView rest = train.bytes;
  while (!rest.empty()) {
    unsigned count = 0;
    for (ByteView left = rest; !left.empty() && count < kMaxTrainDatagrams; ++count) {
      const std::size_t length = std::min(train.datagram_bytes, left.size());
      vectors[count] = vector_of(left.first(length));
      left = left.subspan(length);
      msghdr& head = heads[count].msg_hdr;
      set_target(head, train.to);
      head.msg_iov = &vectors[count];
      head.msg_iovlen = 1;
      writer.give(head);
    }
    const int sent =
        ::sendmmsg(socket_.native_handle(), heads.data(), count, MSG_DONTWAIT | MSG_NOSIGNAL);
    const error_code failed = sent < 0 ? last_error() : error_code();
    if (sent > 0) counts_.sends_trains = false;
    if (failed && !is_loss(failed)) {
      // Of a train that went in part the rest is lost: it was on its way.
      if (rest.size() == train.bytes.size()) ec = failed;
      return;
    }
    const std::size_t done =
        std::max<std::size_t>(sent < 0 ? 1 : static_cast<std::size_t>(sent), 1);
    rest = rest.subspan(std::min(rest.size(), done * train.datagram_bytes));
  }
}

// --- waits
// ----------------------------------------------------------------------------------------

// What looks lets everything else of its executor have its turn.
void DatagramSocket::wait_readable(std::shared_ptr<DatagramSink> sink) {
  if (eager_wait_.handle_nothing(detail::now())) {
    net::post(socket_.get_executor(), Waker(std::move(sink), &DatagramSink::readable));
    return;
  }
  socket_.async_wait(udp::socket::wait_read, Waker(std::move(sink), &DatagramSink::readable));
}

void DatagramSocket::wait_writable(std::shared_ptr<DatagramSink> sink) {
  socket_.async_wait(udp::socket::wait_write, Waker(std::move(sink), &DatagramSink::writable));
}

}  // namespace sealine::io::stt
