// Checked forms against the host's own unmasked exceptions: each instruction runs once unmasked,
// where SIGFPE shows its MXCSR, and once masked between begin_checked() and end_checked().
#include <csetjmp>
#include <csignal>

#include <ucontext.h>

#include <catch2/catch.hpp>

#include "cpu/semantics/fp_environment.h"
#include "cpu/semantics/vector_checked.h"
#include "tests/cpu/vector_values.h"

namespace penumbra::cpu {
namespace {

sigjmp_buf resume_point;
volatile u32 mxcsr_at_trap;

void on_trap(int, siginfo_t*, void* context) {
  mxcsr_at_trap = static_cast<ucontext_t*>(context)->uc_mcontext.fpregs->mxcsr;
  siglongjmp(resume_point, 1);
}

class TrapHandler {
 public:
  TrapHandler() {
    struct sigaction action{};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGFPE, &action, &before_);
  }
  ~TrapHandler() { sigaction(SIGFPE, &before_, nullptr); }

 private:
  struct sigaction before_{};
};

using Binary = V128 (*)(V128, V128);

/// What the host itself does under `mxcsr`.
CheckedResult on_host(Binary compute, V128 a, V128 b, u32 mxcsr) {
  if (sigsetjmp(resume_point, 1)) {
    fp_environment::write_host(Mxcsr::kDefault);
    return {mxcsr_at_trap, true};
  }
  fp_environment::write_host(mxcsr);
  compute(a, b);
  u32 after = fp_environment::read_host();
  fp_environment::write_host(Mxcsr::kDefault);
  return {after, false};
}

VectorRegister in_register(V128 value) { return {{lanes<u64>(value)[0], lanes<u64>(value)[1]}}; }

CheckedResult as_guest(Binary compute, CheckedForm form, V128 a, V128 b, u32 mxcsr) {
  fp_environment::enter(mxcsr);
  u32 before = begin_checked(mxcsr);
  compute(a, b);
  CheckedResult result = end_checked(before, form, {in_register(a), in_register(b), {}});
  u32 left = fp_environment::leave(result.mxcsr);
  CHECK(left == result.mxcsr);
  return result;
}

template <class Bits>
void check(Binary compute, CheckedForm form) {
  TrapHandler handler;
  VectorValues values(static_cast<u64>(form.kind) * 8 + form.lanes);
  unsigned raised = 0;
  for (int i = 0; i < 6000; ++i) {
    V128 a = values.floats<Bits>(), b = values.floats<Bits>();
    u32 mxcsr = static_cast<u32>(values.bits()) & 0xffc0;
    if (i % 2) mxcsr |= Mxcsr::kMasks & ~(u32{1} << (Mxcsr::kMaskShift + values.below(6)));
    CheckedResult host = on_host(compute, a, b, mxcsr);
    CheckedResult guest = as_guest(compute, form, a, b, mxcsr);
    INFO(hex(a) << " " << hex(b) << fmt::format(" under {:04x}", mxcsr));
    REQUIRE(guest.raises == host.raises);
    REQUIRE(fmt::format("{:04x}", guest.mxcsr) == fmt::format("{:04x}", host.mxcsr));
    raised += host.raises;
  }
  CHECK(raised > 100);
}

template <class Single, class Double>
void check_types(CheckedForm::Kind kind, u8 singles, u8 doubles) {
  check<u32>(eval<Single>, {kind, false, singles});
  check<u64>(eval<Double>, {kind, true, doubles});
}

/// CVTPD2PS, whose lift names its only operand twice.
V128 narrow_packed(V128, V128 b) { return Cvtpd2ps::eval(b); }

template <class Op>
V128 unary(V128 a, V128) {
  return Op::eval(a);
}

}  // namespace

TEST_CASE("sums raise what the host raises") {
  check_types<Addss, Addsd>(CheckedForm::Kind::Add, 1, 1);
  check_types<Addps, Addpd>(CheckedForm::Kind::Add, 4, 2);
  check_types<Subss, Subsd>(CheckedForm::Kind::Subtract, 1, 1);
  check_types<Subps, Subpd>(CheckedForm::Kind::Subtract, 4, 2);
}

TEST_CASE("products and quotients raise what the host raises") {
  check_types<Mulss, Mulsd>(CheckedForm::Kind::Multiply, 1, 1);
  check_types<Mulps, Mulpd>(CheckedForm::Kind::Multiply, 4, 2);
  check_types<Divss, Divsd>(CheckedForm::Kind::Divide, 1, 1);
  check_types<Divps, Divpd>(CheckedForm::Kind::Divide, 4, 2);
}

TEST_CASE("narrowing conversions raise what the host raises") {
  check<u64>(eval<Cvtsd2ss>, {CheckedForm::Kind::Narrow, true, 1});
  check<u64>(narrow_packed, {CheckedForm::Kind::Narrow, true, 2});
}

TEST_CASE("the other instructions need no second look") {
  check<u32>(eval<Minps>, {});
  check<u64>(eval<Maxsd>, {});
  check<u64>(eval<Cmpltpd>, {});
  check<u32>(eval<Cmpeqss>, {});
  check<u32>(unary<Sqrtps>, {});
  check<u64>(unary<Sqrtpd>, {});
  check<u32>(unary<Cvtps2dq>, {});
  check<u64>(unary<Cvttpd2dq>, {});
  check<u32>(unary<Cvtps2pd>, {});
}

TEST_CASE("a checked form's description survives the micro-op's immediate") {
  CheckedForm form = CheckedForm::decode(CheckedForm{CheckedForm::Kind::Divide, true, 2}.encode());
  CHECK(form.kind == CheckedForm::Kind::Divide);
  CHECK(form.is_double);
  CHECK(form.lanes == 2);
}

}  // namespace penumbra::cpu
