#include "tests/oracle/host_runner.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "tests/oracle/host_child.h"

namespace penumbra::oracle {
namespace {

constexpr u64 kPatience = 5'000'000'000;  // ns without an answer until a child is given up

u8* pool(HostControl* control, u32 slot) {
  return reinterpret_cast<u8*>(control) + kPoolOffset + slot * kPageSize;
}

Fault fault_of(const HostControl& control) {
  auto vector = static_cast<Vector>(control.trap);
  Fault fault = Fault::of(vector, has_error_code(vector) ? control.error_code : 0);
  if (vector == Vector::Pf) fault.address = control.address;
  return fault;
}

}  // namespace

HostRunner::HostRunner() {
  shared_fd_ = memfd_create("oracle", MFD_CLOEXEC);
  if (shared_fd_ < 0 || ftruncate(shared_fd_, kSharedSize) != 0) return;
  void* shared = mmap(nullptr, kSharedSize, PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd_, 0);
  if (shared != MAP_FAILED) control_ = static_cast<HostControl*>(shared);
}

HostRunner::~HostRunner() {
  stop();
  if (control_ != nullptr) munmap(control_, kSharedSize);
  if (shared_fd_ >= 0) close(shared_fd_);
}

void HostRunner::start() {
  control_->request = 0;
  control_->reply = 0;
  child_ = fork();
  if (child_ == 0) run_host_child(control_, shared_fd_);
  ++children_;
}

void HostRunner::stop() {
  if (child_ <= 0) return;
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
  child_ = -1;
}

bool HostRunner::post(const Test& test) {
  if (test.code.size() > kMostCode || test.pages.size() > HostControl::kMostPages) return false;
  HostControl& control = *control_;
  control.size = test.size;
  control.page_count = static_cast<u32>(test.pages.size());
  control.most_mapped = test.most_mapped;
  control.pattern_seed = test.pattern_seed;
  control.end = end_of(test);
  control.in = test.state;
  control.in.rip = test.size == CodeSize::Bits16 ? kCodeAddress - kCodePage : kCodeAddress;
  for (u32 i = 0; i < control.page_count; ++i) {
    if (test.pages[i].bytes.size() != kPageSize) return false;
    control.pages[i] = {test.pages[i].address, test.pages[i].writable};
    std::copy(test.pages[i].bytes.begin(), test.pages[i].bytes.end(), pool(control_, i + 1));
  }
  auto code = code_page(test);
  std::copy(code.begin(), code.end(), pool(control_, 0));
  __atomic_fetch_add(&control.request, 1, __ATOMIC_RELEASE);
  futex_wake(&control.request);
  return true;
}

bool HostRunner::wait_for_reply() {
  u32 request = control_->request;
  for (int spin = 0; spin < 2000; ++spin) {
    if (__atomic_load_n(&control_->reply, __ATOMIC_ACQUIRE) == request) return true;
    __builtin_ia32_pause();
  }
  for (u64 waited = 0; waited < kPatience; waited += 100'000'000) {
    u32 reply = __atomic_load_n(&control_->reply, __ATOMIC_ACQUIRE);
    if (reply == request) return true;
    if (!futex_wait(&control_->reply, reply, 100'000'000) &&
        waitpid(child_, nullptr, WNOHANG) == child_) {
      child_ = -1;
      return false;
    }
  }
  return __atomic_load_n(&control_->reply, __ATOMIC_ACQUIRE) == request;
}

Result HostRunner::collect(const Test& test) const {
  const HostControl& control = *control_;
  Result result;
  result.outcome = control.outcome;
  if (result.outcome == Outcome::Fault) result.fault = fault_of(control);
  result.state = control.out;
  if (test.size == CodeSize::Bits16) result.state.rip += kCodePage;
  for (u32 i = 0; i < std::min(control.pages_after, HostControl::kMostPages); ++i) {
    const u8* bytes = pool(control_, i + 1);
    result.pages.push_back(
        {control.pages[i].address, control.pages[i].writable, {bytes, bytes + kPageSize}});
  }
  return result;
}

Result HostRunner::run(const Test& test) {
  if (!available()) return {};
  if (child_ <= 0) start();
  if (child_ <= 0 || !post(test)) return {};
  if (wait_for_reply()) return collect(test);
  stop();
  return {};
}

}  // namespace penumbra::oracle
