// Whether two machines of one configuration are in the same state, and where they are not.
//
// Everything that a snapshot holds is compared: CPU, devices, clock, input that waits, and RAM. The
// CPU's arithmetic flags are compared as values.
#pragma once

#include <string>
#include <vector>

#include "machine/vm.h"

namespace penumbra::machine {

struct Difference {
  std::string where;  ///< a register, "memory 1fff000", or a section with the byte's place in it
  std::string reference, subject;
};

class VmComparison {
 public:
  /// Both outlive the comparison.
  VmComparison(Vm& reference, Vm& subject);

  /// Everything but RAM.
  bool same_state();
  bool same_memory() const;
  /// Every register, the first byte of every section, the first pages of RAM.
  std::vector<Difference> differences();

 private:
  struct Side {
    Vm& vm;
    std::vector<StateSection> sections;
    Archive archive = Archive::saver();
  };
  static constexpr size_t kMostPages = 8;

  static std::vector<u8> bytes_of(Side& side, size_t section);
  void compare_registers(std::vector<Difference>& found);
  void compare_sections(std::vector<Difference>& found);
  void compare_memory(std::vector<Difference>& found) const;

  Side reference_, subject_;
};

}  // namespace penumbra::machine
