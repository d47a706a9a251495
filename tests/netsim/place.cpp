#include "place.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace sealine::netsim {
namespace {

constexpr int kMtuBytes = 1500;
constexpr int kDeviceQueuePackets = 10'000;  // the path's own queue is the one that counts
constexpr const char* kDevice = "path";
constexpr const char* kNetmask = "255.255.255.0";

[[noreturn]] void fail(const std::string& what) {
  if (errno == EPERM || errno == EACCES) throw NotAllowed(what + " needs root");
  throw std::system_error(errno, std::generic_category(), what);
}

Descriptor open_namespace() {
  Descriptor current(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (current.value() < 0) fail("/proc/self/ns/net");
  return current;
}

/// Of the namespace that this thread is in. Settings that a system refuses are done without.
void write_setting(const char* name, const char* value) {
  std::ofstream(std::string("/proc/sys/net/") + name) << value;
}

ifreq request_for(const char* device) {
  ifreq request{};
  std::strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  return request;
}

void control(const Descriptor& socket, unsigned long what, ifreq request, const char* name) {
  if (::ioctl(socket.value(), what, &request) != 0) fail(name);
}

void set_address(const Descriptor& socket, unsigned long what, const char* address) {
  ifreq request = request_for(kDevice);
  sockaddr_in value{};
  value.sin_family = AF_INET;
  if (::inet_pton(AF_INET, address, &value.sin_addr) != 1) throw std::invalid_argument(address);
  std::memcpy(&request.ifr_addr, &value, sizeof value);
  control(socket, what, request, address);
}

void bring_up(const Descriptor& socket, const char* device) {
  ifreq request = request_for(device);
  request.ifr_flags = IFF_UP;
  control(socket, SIOCSIFFLAGS, request, device);
}

Descriptor open_tun() {
  Descriptor tun(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (tun.value() < 0) throw NotAllowed(std::string("/dev/net/tun: ") + std::strerror(errno));
  ifreq request = request_for(kDevice);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  control(tun, TUNSETIFF, request, "TUNSETIFF");
  return tun;
}

void configure(const std::string& address) {
  // No packets but those of the programs, and room for paths of many megabytes.
  write_setting("ipv6/conf/all/disable_ipv6", "1");
  write_setting("ipv6/conf/default/disable_ipv6", "1");
  write_setting("ipv4/tcp_rmem", "4096 131072 134217728");
  write_setting("ipv4/tcp_wmem", "4096 65536 134217728");
  write_setting("ipv4/tcp_no_metrics_save", "1");
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.value() < 0) fail("socket");
  ifreq request = request_for(kDevice);
  request.ifr_mtu = kMtuBytes;
  control(socket, SIOCSIFMTU, request, "SIOCSIFMTU");
  request = request_for(kDevice);
  request.ifr_qlen = kDeviceQueuePackets;
  control(socket, SIOCSIFTXQLEN, request, "SIOCSIFTXQLEN");
  set_address(socket, SIOCSIFADDR, address.c_str());
  set_address(socket, SIOCSIFNETMASK, kNetmask);
  bring_up(socket, kDevice);
  bring_up(socket, "lo");
}

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

Place::Place(const std::string& address) {
  const Descriptor before = open_namespace();
  if (::unshare(CLONE_NEWNET) != 0) fail("a network namespace");
  namespace_ = open_namespace();
  packets_ = open_tun();
  configure(address);
  if (::setns(before.value(), CLONE_NEWNET) != 0) fail("setns");
}

std::string Place::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(namespace_.value());
}

pid_t Place::start(char* const* command) const {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid > 0) {
    ::setpgid(pid, pid);  // here too: it may be asked to end at once
    return pid;
  }
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  ::setpriority(PRIO_PROCESS, 0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::setns(namespace_.value(), CLONE_NEWNET) == 0) ::execvp(command[0], command);
  std::perror(command[0]);
  ::_exit(127);
}

}  // namespace sealine::netsim
