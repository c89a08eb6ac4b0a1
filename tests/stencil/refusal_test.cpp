// What stencils may not do is refused, and the message says what and where.

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "jit/stencil/extract/tables.h"

namespace penumbra::jit::extract {
namespace {

/// By key in refused/refused.cpp: the function, and what its message says. The last one is fine.
constexpr std::pair<const char*, const char*> kExpected[] = {
    {"calls", "a call"},
    {"returns", "a return"},
    {"pushes", "a use of the stack"},
    {"uses_stack", "a use of the stack"},
    {"uses_stack_slot", "a use of the stack"},
    {"halts", "a privileged instruction"},
    {"sets_direction", "a change of system flags"},
    {"makes_system_call", "a change of system flags"},
    {"asks_cpu", "of a kind that stencils may not have"},
    {"reads_clock", "of a kind that stencils may not have"},
    {"traps", "of a kind that stencils may not have"},
    {"uses_x87", "of a kind that stencils may not have"},
    {"uses_mmx", "neither general nor vector"},
    {"moves_string", "of a kind that stencils may not have"},
    {"uses_rdi_silently", "an implicit use of an operand's register"},
    {"uses_thread_segment", "a segment override"},
    {"loads_segment", "neither general nor vector"},
    {"changes_state_register", "a write to r12"},
    {"changes_left", "a write to r13"},
    {"takes_high_byte", "a high-byte register beside an operand"},
    {"jumps_if_zero", "a conditional jump without a condition code"},
    {"clears_vectors", "clears every vector register"},
    {"uses_own_address", "a use of its own address"},
    {"asks_linker", "a relocation of an unknown type against hole_a"},
    {"uses_unknown_symbol", "a relocation against unknown_symbol, which is no hole"},
    {"jumps_out", "a jump out of the function"},
    {"jumps_beside", "a jump to beside to_next"},
    {"jumps_into_instruction", "a jump out of the function"},
    {"goes_nowhere", "a jump to to_nowhere, which is no continuation"},
    {"jumps_anywhere", "an indirect jump without the key's bit"},
    {"never_ends", "a loop without an end"},
    {"falls_off", "a path runs off the end"},
    {"looks_up", "a constant without a RIP-relative address"},
    {"looks_up_far", "which is no hole"},
    {"fine", nullptr},
};

ObjectFile refused_object() {
  Result<ObjectFile> object = ObjectFile::read(PENUMBRA_REFUSED_STENCILS);
  REQUIRE(object.has_value());
  return std::move(*object);
}

TEST_CASE("stencils that do what they may not are refused by name") {
  ObjectFile object = refused_object();
  REQUIRE(object.stencils().size() == std::size(kExpected));
  for (const StencilSource& source : object.stencils()) {
    auto [name, message] = kExpected[source.key - 1];
    INFO("key " << source.key << ", " << name);
    CHECK_THAT(source.name, Catch::Contains(fmt::format("::{}(", name)));
    Result<ExtractedStencil> stencil = extract(source);
    CHECK(stencil.has_value() == (message == nullptr));
    if (stencil || message == nullptr) continue;
    CHECK_THAT(stencil.error(), Catch::StartsWith(source.name) && Catch::Contains(message) &&
                                    Catch::Contains(fmt::format("key {:#x}", source.key)));
  }
}

TEST_CASE("what the key allows is not refused") {
  ObjectFile object = refused_object();
  StencilSource jumps = object.stencils()[29], counts = object.stencils()[18];
  jumps.key |= Stencil::kDynamicExit;
  counts.key |= Stencil::kWritesLeft;
  CHECK(extract(jumps).has_value());
  CHECK(extract(counts).has_value());
}

TEST_CASE("two stencils of one key are refused") {
  Result<ExtractedStencil> stencil = extract(refused_object().stencils().back());
  REQUIRE(stencil.has_value());
  TableBuilder tables;
  CHECK(tables.add(*stencil).has_value());
  Result<> second = tables.add(*stencil);
  REQUIRE(!second.has_value());
  CHECK_THAT(second.error(), Catch::Contains("the key is that of"));
}

TEST_CASE("a file that is no object is refused") {
  CHECK(!ObjectFile::read("/nowhere").has_value());
  Result<ObjectFile> text = ObjectFile::read(__FILE__);
  REQUIRE(!text.has_value());
  CHECK_THAT(text.error(), Catch::StartsWith(__FILE__));
}

}  // namespace
}  // namespace penumbra::jit::extract
