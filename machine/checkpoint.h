// A sleeping copy of this process, made by fork(): everything as it was at one moment, at the price
// of the pages that change later.
//
// The copy does nothing until it is asked; then it runs `answer` on its own state, sends the text
// back and ends. What the copy does reaches the original by that text only: mappings shared with
// the original get copies of their own (those without a file's name, as code caches are). Open
// files are still shared: the answer writes to none. The copy ends with the original.
// Only the calling thread exists in the copy.
#pragma once

#include <sys/types.h>

#include <expected>
#include <functional>
#include <string>

namespace penumbra::machine {

class Checkpoint {
 public:
  using Answer = std::function<std::string(const std::string& request)>;

  /// Returns in the original only. The error is one line for the user.
  static std::expected<Checkpoint, std::string> take(const Answer& answer);
  ~Checkpoint();
  Checkpoint(Checkpoint&& other) noexcept;
  Checkpoint& operator=(Checkpoint&& other) noexcept;

  /// Once. The error tells that the copy died.
  std::expected<std::string, std::string> ask(const std::string& request);

 private:
  Checkpoint(pid_t copy, int requests, int answers)
      : copy_(copy), requests_(requests), answers_(answers) {}
  void end_copy();

  pid_t copy_;
  int requests_, answers_;  ///< pipes to and from the copy
};

}  // namespace penumbra::machine
