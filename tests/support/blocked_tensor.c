#include "tests/support/blocked_tensor.h"

#include "ops/blocked.h"
#include "tests/support/random_tensor.h"

static int64_t block_of(const workbench *bench, norma_element_type type) {
  const struct kernel_table *kernels = bench->kernels ? bench->kernels : kernel_table_default();
  return (int64_t)kernels->channel_block[type];
}

int64_t bench_block(const workbench *bench) {
  return block_of(bench, NORMA_FLOAT);
}

const value *blocked_of(workbench *bench, const value *plain) {
  const norma_element_type type = plain->tensor.type;
  const int64_t b = block_of(bench, type);
  const shape from = shape_of_tensor(&plain->tensor), to = blocked_shape(&from, b);
  const size_t bytes = element_type_bytes(type);
  value *made = bench_make(bench, type, to);
  char *target = made->tensor.data;
  const char *source = plain->tensor.data;
  for (int64_t i = 0; i < shape_count(&to); i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&to, i, at);
    const int64_t channel = at[1] * b + at[4];
    const int64_t place = shape_place(&from, (int64_t[]){at[0], channel, at[2], at[3]});
    if (channel < from.dims[1])
      memcpy(target + (size_t)i * bytes, source + (size_t)place * bytes, bytes);
    else if (type == NORMA_FLOAT)
      ((float *)(void *)target)[i] = NAN;
    else
      target[i] = (char)random_int(&bench->seed, -128, 127);
  }
  return made;
}

const value *plain_of(workbench *bench, const value *blocked, int64_t channels) {
  const shape from = shape_of_tensor(&blocked->tensor);
  const size_t bytes = element_type_bytes(blocked->tensor.type);
  assert_int_equal(from.rank, 5);
  assert_int_equal(from.dims[1], (channels + from.dims[4] - 1) / from.dims[4]);
  const shape to = plain_shape(&from, channels, 4);
  value *made = bench_make(bench, blocked->tensor.type, to);
  for (int64_t i = 0; i < shape_count(&to); i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&to, i, at);
    const int64_t place[] = {at[0], at[1] / from.dims[4], at[2], at[3], at[1] % from.dims[4]};
    memcpy((char *)made->tensor.data + (size_t)i * bytes,
           (const char *)blocked->tensor.data + (size_t)shape_place(&from, place) * bytes, bytes);
  }
  return made;
}

void check_blocked(workbench *bench, const driver_call *call, const driver_call *plain, double relative) {
  bench_run_once(bench, plain);
  const value *expected = bench_keep(bench, 0), *found = bench_run(bench, call);
  if (found->tensor.rank == 5) found = plain_of(bench, found, expected->tensor.dims[1]);
  const shape shape = shape_of_tensor(&expected->tensor);
  check_tensor(found, expected->tensor.type, shape, NULL);
  for (int64_t i = 0; i < shape_count(&shape); i++) {
    if (same_element(found, i, expected, i)) continue;
    const double wanted = driver_element(expected, i), got = driver_element(found, i);
    if ((isnan(wanted) && isnan(got)) || fabs(wanted - got) <= relative * (fabs(wanted) + 1)) continue;
    char text[100];
    fail_msg("%s in blocks, shape %s, element %d: expected %.9g, got %.9g", call->op_type,
             shape_text(&shape, text, sizeof text), (int)i, wanted, got);
  }
}
