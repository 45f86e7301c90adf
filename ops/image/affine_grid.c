/*
 * AffineGrid 20 (ai.onnx)
 *
 *   grid[n][d1 .. dr] = theta[n] * (x_r, .., x_1, 1)
 *
 * theta [N, 2, 3] or [N, 3, 4], size the shape [N, C, D1 .. Dr] of an image, r = 2 or 3; the grid [N, D1 .. Dr, r] is
 * what GridSample takes, last axis first. x_i goes over the centres of D_i cells between -1 and 1, or with
 * align_corners from -1 to 1 (0 where D_i is 1). Computed in double precision, rounded once.
 */
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>

typedef struct affine_grid_state {
  bool centers;
} affine_grid_state;

static norma_status affine_grid_read(const node *node, void *state, norma_error *error) {
  (void)error;
  ((affine_grid_state *)state)->centers = attribute_int(node, "align_corners", 0) != 0;
  return NORMA_OK;
}

/* 2 or 3 axes by the shapes of theta and size, 0 where these do not tell. */
static norma_status affine_grid_axes(infer_context *context, int *axes) {
  const shape *theta = infer_shape(context, 0), *size = infer_shape(context, 1);
  *axes = 0;
  if (size->rank != RANK_UNKNOWN) {
    if (size->rank != 1 || (size->dims[0] != DIM_UNKNOWN && size->dims[0] != 4 && size->dims[0] != 5))
      return infer_fail(context, "size must hold the 4 or 5 dimensions of an image");
    if (size->dims[0] != DIM_UNKNOWN) *axes = (int)size->dims[0] - 2;
  }
  if (theta->rank == RANK_UNKNOWN) return NORMA_OK;
  if (theta->rank != 3) return infer_fail(context, "theta has rank %d, not 3", theta->rank);
  const int64_t rows = theta->dims[1], columns = theta->dims[2];
  const bool rows_fit = rows == DIM_UNKNOWN || (*axes ? rows == *axes : rows == 2 || rows == 3);
  if (!rows_fit || (rows != DIM_UNKNOWN && columns != DIM_UNKNOWN && columns != rows + 1) ||
      (columns != DIM_UNKNOWN && *axes && columns != *axes + 1))
    return infer_fail(context,
                      "theta holds matrices of %" PRId64 " x %" PRId64 ", not of 2 x 3 or 3 x 4 as size has it", rows,
                      columns);
  if (!*axes && rows != DIM_UNKNOWN) *axes = (int)rows;
  return NORMA_OK;
}

static norma_status affine_grid_infer(infer_context *context) {
  const shape *theta = infer_shape(context, 0);
  int axes, count;
  int64_t size[5];
  norma_status status = NORMA_OK;
  shape grid = shape_unknown();
  TRY(affine_grid_axes(context, &axes));
  if (axes) {
    grid = shape_of_rank(axes + 2);
    if (theta->rank != RANK_UNKNOWN) grid.dims[0] = theta->dims[0];
    grid.dims[axes + 1] = axes;
  }
  const bool is_known = infer_ints(context, 1, size, 5, &count, &status);
  TRY(status);
  if (is_known && axes) {
    for (int i = 0; i < count; i++) {
      if (size[i] < 0) return infer_fail(context, "size holds %" PRId64, size[i]);
    }
    if (grid.dims[0] != DIM_UNKNOWN && grid.dims[0] != size[0])
      return infer_fail(context, "theta has %" PRId64 " matrices but size %" PRId64 " samples", grid.dims[0], size[0]);
    grid.dims[0] = size[0];
    for (int i = 0; i < axes; i++) grid.dims[i + 1] = size[i + 2];
    if (shape_count(&grid) == DIM_UNKNOWN) return infer_fail(context, "the grid is too large");
  }
  infer_output(context, 0, infer_type(context, 0), &grid);
  return NORMA_OK;
}

typedef struct affine_grid_job {
  const norma_tensor *theta, *grid;
  bool centers;
} affine_grid_job;

static double affine_grid_place(const affine_grid_job *job, int64_t at, int64_t size) {
  if (!job->centers) return (double)(2 * at + 1 - size) / (double)size;
  return size > 1 ? (double)(2 * at + 1 - size) / (double)(size - 1) : 0;
}

/* Rows of the grid. */
static void affine_grid_body(void *argument, int64_t begin, int64_t end, int worker) {
  const affine_grid_job *job = argument;
  const norma_tensor *grid = job->grid;
  const int axes = grid->rank - 2;
  const int64_t width = grid->dims[axes];
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    double matrix[12], fixed[3];
    int64_t rest = row;
    double place[3];
    for (int i = axes - 1; i >= 1; i--) { /* axes - 2 .. 0 of the image */
      place[axes - i] = affine_grid_place(job, rest % grid->dims[i], grid->dims[i]);
      rest /= grid->dims[i];
    }
    elements_to_double(job->theta->type, job->theta->data, rest * axes * (axes + 1), axes * (axes + 1), matrix);
    for (int i = 0; i < axes; i++) {
      fixed[i] = matrix[i * (axes + 1) + axes];
      for (int j = 1; j < axes; j++) fixed[i] += matrix[i * (axes + 1) + j] * place[j];
    }
    for (int64_t x = 0; x < width; x++) {
      const double at = affine_grid_place(job, x, width);
      for (int i = 0; i < axes; i++)
        element_set_double(grid->type, grid->data, (row * width + x) * axes + i,
                           fixed[i] + matrix[i * (axes + 1)] * at);
    }
  }
}

static norma_status affine_grid_compute(run_context *context) {
  const affine_grid_state *state = context->state;
  const norma_tensor *grid = run_output(context, 0);
  if (!grid || norma_tensor_count(grid) == 0) return NORMA_OK;
  affine_grid_job job = {run_input(context, 0), grid, state->centers};
  const int axes = grid->rank - 2;
  return run_parallel(context, dims_product(grid->dims, 0, axes), work_grain(20.0 * (double)grid->dims[axes]),
                      affine_grid_body, &job);
}

static const operator_attribute affine_grid_attributes[] = {
    {"align_corners", ATTRIBUTE_INT, 20, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_affine_grid[] = {
    {
        .domain = "",
        .name = "AffineGrid",
        .versions = {20},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
        .attributes = affine_grid_attributes,
        .state_size = sizeof(affine_grid_state),
        .read = affine_grid_read,
        .infer = affine_grid_infer,
        .compute = affine_grid_compute,
    },
    {0},
};
