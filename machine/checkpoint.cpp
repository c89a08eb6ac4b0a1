#include "machine/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "machine/shared_mappings.h"

namespace penumbra::machine {

namespace {

struct Pipe {
  int read = -1, write = -1;
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
};

void close_end(int& end) {
  if (end >= 0) ::close(std::exchange(end, -1));
}

bool send(int to, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    ssize_t written = ::write(to, text.data() + done, text.size() - done);
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) done += static_cast<size_t>(written);
  }
  return true;
}

std::string receive_all(int from) {
  std::string text;
  char buffer[4096];
  while (true) {
    ssize_t count = ::read(from, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<size_t>(count));
  }
}

/// Behind a request or an answer: tells it from what somebody who died had sent so far.
constexpr char kComplete = '.';

/// Keys and signals of the terminal are the original's business.
void leave_terminal_to_original() {
  for (int signal : {SIGINT, SIGQUIT, SIGTSTP, SIGHUP}) ::signal(signal, SIG_IGN);
  ::signal(SIGTERM, SIG_DFL);
}

[[noreturn]] void be_the_copy(const Checkpoint::Answer& answer, Pipe requests, Pipe answers) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  close_end(requests.write);
  close_end(answers.read);
  leave_terminal_to_original();
  if (!own_shared_mappings() || !send(answers.write, {kComplete})) ::_exit(1);
  std::string request = receive_all(requests.read);
  if (request.empty() || request.back() != kComplete) ::_exit(0);
  request.pop_back();
  ::_exit(send(answers.write, answer(request) + kComplete) ? 0 : 1);
}

}  // namespace

std::expected<Checkpoint, std::string> Checkpoint::take(const Answer& answer) {
  Pipe requests, answers;
  pid_t copy = requests.open() && answers.open() ? ::fork() : -1;
  if (copy == 0) be_the_copy(answer, requests, answers);
  int error = errno;
  close_end(requests.read);
  close_end(answers.write);
  Checkpoint checkpoint(copy, requests.write, answers.read);
  if (copy < 0) {
    return std::unexpected(fmt::format("cannot copy the process: {}", std::strerror(error)));
  }
  char ready = 0;
  while (::read(answers.read, &ready, 1) < 0 && errno == EINTR) {
  }
  if (ready != kComplete) return std::unexpected("the process's copy died");
  return checkpoint;
}

Checkpoint::Checkpoint(Checkpoint&& other) noexcept
    : copy_(std::exchange(other.copy_, -1)),
      requests_(std::exchange(other.requests_, -1)),
      answers_(std::exchange(other.answers_, -1)) {}

Checkpoint& Checkpoint::operator=(Checkpoint&& other) noexcept {
  std::swap(copy_, other.copy_);
  std::swap(requests_, other.requests_);
  std::swap(answers_, other.answers_);
  return *this;
}

Checkpoint::~Checkpoint() { end_copy(); }

void Checkpoint::end_copy() {
  close_end(requests_);
  close_end(answers_);
  if (copy_ < 0) return;
  while (::waitpid(copy_, nullptr, 0) < 0 && errno == EINTR) {
  }
  copy_ = -1;
}

std::expected<std::string, std::string> Checkpoint::ask(const std::string& request) {
  bool sent = requests_ >= 0 && send(requests_, request + kComplete);
  close_end(requests_);
  std::string answer = sent ? receive_all(answers_) : "";
  end_copy();
  if (answer.empty() || answer.back() != kComplete) {
    return std::unexpected("the process's copy died");
  }
  answer.pop_back();
  return answer;
}

}  // namespace penumbra::machine
