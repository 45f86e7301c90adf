/*
 * NonMaxSuppression 10, 11 (ai.onnx)
 *
 * For each sample and class, boxes in the order of their scores (of equal scores, in the order of boxes) are selected
 * unless a selected one covers them: intersection over union above iou_threshold. At most max_output_boxes_per_class
 * (input 2, default 0) are, with scores above score_threshold (input 4) where it is given. Result [K, 3] of int64:
 * sample, class, box.
 *
 * boxes [N, B, 4] are two corners y1, x1, y2, x2 in any order, or with center_point_box x, y, width, height; scores [N,
 * C, B]. A box whose score is NaN comes last, or not at all where there is a score_threshold.
 */
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct suppression_state {
  bool centers;

  /* The plan's. */
  size_t candidates_at, boxes_at; /* worker scratch */
} suppression_state;

static norma_status suppression_read(const node *node, void *opaque, norma_error *error) {
  const int64_t centers = attribute_int(node, "center_point_box", 0);
  ((suppression_state *)opaque)->centers = centers != 0;
  if (centers != 0 && centers != 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "center_point_box is %" PRId64 " but must be 0 or 1",
                         centers);
  return NORMA_OK;
}

static norma_status suppression_infer(infer_context *context) {
  const shape *boxes = infer_shape(context, 0), *scores = infer_shape(context, 1);
  shape from_boxes = shape_of_rank(2), from_scores = shape_of_rank(2);
  if (boxes->rank != RANK_UNKNOWN) {
    if (boxes->rank != 3 || (boxes->dims[2] != DIM_UNKNOWN && boxes->dims[2] != 4))
      return infer_fail(context, "boxes must be samples of boxes of four coordinates");
    from_boxes.dims[0] = boxes->dims[0], from_boxes.dims[1] = boxes->dims[1];
  }
  if (scores->rank != RANK_UNKNOWN) {
    if (scores->rank != 3) return infer_fail(context, "scores have rank %d, not 3", scores->rank);
    from_scores.dims[0] = scores->dims[0], from_scores.dims[1] = scores->dims[2];
  }
  if (!shape_merge(&from_boxes, &from_scores)) return infer_fail(context, "boxes and scores differ in their sizes");
  infer_output(context, 0, NORMA_INT64, &(shape){.rank = 2, .dims = {DIM_UNKNOWN, 3}});
  return NORMA_OK;
}

typedef struct suppression_candidate {
  float score;
  int32_t box;
} suppression_candidate;

/* Arrays of the selected boxes: low and high y, low and high x, area. */
enum { SUPPRESSION_Y0, SUPPRESSION_Y1, SUPPRESSION_X0, SUPPRESSION_X1, SUPPRESSION_AREA, SUPPRESSION_ARRAYS };

static norma_status suppression_prepare(prepare_context *context) {
  suppression_state *state = context->state;
  const int64_t boxes = prepare_shape(context, 0)->dims[1];
  if (boxes > INT32_MAX / 2 ||
      !scratch_append(&context->worker_scratch_bytes, (size_t)boxes, sizeof(suppression_candidate),
                      &state->candidates_at) ||
      !scratch_append(&context->worker_scratch_bytes, (size_t)boxes, SUPPRESSION_ARRAYS * sizeof(float),
                      &state->boxes_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many boxes");
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------- candidates */

/* Whether a comes before b. */
static bool suppression_before(const suppression_candidate *a, const suppression_candidate *b) {
  if (a->score > b->score || b->score > a->score) return a->score > b->score;
  if (isnan(a->score) != isnan(b->score)) return isnan(b->score);
  return a->box < b->box;
}

/* Lets the element at `place` of a heap sink, whose first element is to come before all others. */
static void suppression_sink(suppression_candidate *heap, int64_t count, int64_t place) {
  const suppression_candidate sinking = heap[place];
  for (int64_t child = 2 * place + 1; child < count; child = 2 * place + 1) {
    if (child + 1 < count && suppression_before(&heap[child + 1], &heap[child])) child++;
    if (!suppression_before(&heap[child], &sinking)) break;
    heap[place] = heap[child];
    place = child;
  }
  heap[place] = sinking;
}

/* ------------------------------------------------------------------------------------------------------------ boxes */

static void suppression_box(const float *box, bool centers, float corners[SUPPRESSION_ARRAYS]) {
  if (centers) {
    corners[SUPPRESSION_Y0] = box[1] - box[3] / 2, corners[SUPPRESSION_Y1] = box[1] + box[3] / 2;
    corners[SUPPRESSION_X0] = box[0] - box[2] / 2, corners[SUPPRESSION_X1] = box[0] + box[2] / 2;
  } else {
    corners[SUPPRESSION_Y0] = box[0] < box[2] ? box[0] : box[2];
    corners[SUPPRESSION_Y1] = box[0] < box[2] ? box[2] : box[0];
    corners[SUPPRESSION_X0] = box[1] < box[3] ? box[1] : box[3];
    corners[SUPPRESSION_X1] = box[1] < box[3] ? box[3] : box[1];
  }
  corners[SUPPRESSION_AREA] =
      (corners[SUPPRESSION_Y1] - corners[SUPPRESSION_Y0]) * (corners[SUPPRESSION_X1] - corners[SUPPRESSION_X0]);
}

#define SUPPRESSION_STRIDE 16 /* boxes that are compared between questions whether one covers */

/* Whether one of `count` boxes in arrays `boxes`, `room` apart, covers the box. A box without area covers none. */
static bool suppression_covered(const float *box, const float *boxes, int64_t room, int64_t count, float threshold) {
  const float *y0 = boxes, *y1 = y0 + room, *x0 = y1 + room, *x1 = x0 + room, *areas = x1 + room;
  const float area = box[SUPPRESSION_AREA];
  if (!(area > 0)) return false;
  for (int64_t first = 0; first < count; first += SUPPRESSION_STRIDE) {
    const int64_t end = count - first < SUPPRESSION_STRIDE ? count : first + SUPPRESSION_STRIDE;
    int covered = 0;
    for (int64_t i = first; i < end; i++) {
      const float top = y0[i] > box[SUPPRESSION_Y0] ? y0[i] : box[SUPPRESSION_Y0];
      const float bottom = y1[i] < box[SUPPRESSION_Y1] ? y1[i] : box[SUPPRESSION_Y1];
      const float left = x0[i] > box[SUPPRESSION_X0] ? x0[i] : box[SUPPRESSION_X0];
      const float right = x1[i] < box[SUPPRESSION_X1] ? x1[i] : box[SUPPRESSION_X1];
      const float height = bottom - top, width = right - left, common = height * width;
      const float both = area + areas[i] - common;
      covered |= (height > 0) & (width > 0) & (areas[i] > 0) & (both > 0) & (common / both > threshold);
    }
    if (covered) return true;
  }
  return false;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct suppression_job {
  run_context *context;
  const suppression_state *state;
  const norma_tensor *boxes, *scores;
  int64_t most; /* boxes of a class */
  float covering, least;
  bool has_least;
  int32_t *selected; /* `most` for each sample and class */
  int64_t *counts;
} suppression_job;

static int64_t suppression_select(const suppression_job *job, int64_t unit, suppression_candidate *heap, float *taken) {
  const int64_t room = job->boxes->dims[1], sample = unit / job->scores->dims[1];
  const float *scores = (const float *)job->scores->data + unit * room;
  const float *boxes = (const float *)job->boxes->data + sample * room * 4;
  int32_t *selected = job->selected + unit * job->most;
  int64_t candidates = 0, count = 0;
  for (int64_t i = 0; i < room; i++) {
    if (job->has_least && !(scores[i] > job->least)) continue;
    heap[candidates++] = (suppression_candidate){scores[i], (int32_t)i};
  }
  for (int64_t i = candidates / 2 - 1; i >= 0; i--) suppression_sink(heap, candidates, i);
  while (candidates > 0 && count < job->most && !work_interrupted(job->context, count)) {
    const int32_t box = heap[0].box;
    float corners[SUPPRESSION_ARRAYS];
    heap[0] = heap[--candidates];
    if (candidates > 0) suppression_sink(heap, candidates, 0);
    if ((candidates & 0xFFF) == 0 && run_cancelled(job->context)) break;
    suppression_box(boxes + (int64_t)box * 4, job->state->centers, corners);
    if (suppression_covered(corners, taken, room, count, job->covering)) continue;
    for (int i = 0; i < SUPPRESSION_ARRAYS; i++) taken[i * room + count] = corners[i];
    selected[count++] = box;
  }
  return count;
}

static void suppression_body(void *argument, int64_t begin, int64_t end, int worker) {
  const suppression_job *job = argument;
  char *scratch = run_worker_scratch(job->context, worker);
  for (int64_t unit = begin; unit < end; unit++)
    job->counts[unit] =
        suppression_select(job, unit, (suppression_candidate *)(void *)(scratch + job->state->candidates_at),
                           (float *)(void *)(scratch + job->state->boxes_at));
}

/* A number of a tensor that holds one; `otherwise` where it is absent. */
static norma_status suppression_number(run_context *context, int index, double otherwise, double *number) {
  const norma_tensor *tensor = run_input(context, index);
  *number = otherwise;
  if (!tensor) return NORMA_OK;
  if (norma_tensor_count(tensor) != 1)
    return run_fail(context, NORMA_ERROR_RUN, "input %d holds %" PRId64 " numbers instead of one", index,
                    norma_tensor_count(tensor));
  *number = tensor->type == NORMA_INT64 ? (double)tensor_get_int64(tensor, 0)
                                        : element_get_double(tensor->type, tensor->data, 0);
  return NORMA_OK;
}

static norma_status suppression_compute(run_context *context) {
  suppression_job job = {
      .context = context, .state = context->state, .boxes = run_input(context, 0), .scores = run_input(context, 1)};
  double most, covering, least;
  void *selected, *counts;
  norma_tensor *output;
  TRY(suppression_number(context, 2, 0, &most));
  TRY(suppression_number(context, 3, 0, &covering));
  TRY(suppression_number(context, 4, 0, &least));
  if (!(covering >= 0 && covering <= 1))
    return run_fail(context, NORMA_ERROR_RUN, "iou_threshold is %g but must be in 0 .. 1", covering);
  if (!context->outputs[0]) return NORMA_OK;
  const int64_t boxes = job.boxes->dims[1], units = job.scores->dims[0] * job.scores->dims[1];
  job.most = most <= 0 ? 0 : most < (double)boxes ? (int64_t)most : boxes;
  job.covering = (float)covering;
  job.least = (float)least;
  job.has_least = run_input(context, 4) != NULL;
  size_t bytes, list;
  if (!size_multiply((size_t)units, (size_t)job.most, &list) || !size_multiply(list, sizeof(int32_t), &bytes))
    return run_fail(context, NORMA_ERROR_BUDGET, "there are too many boxes");
  TRY(run_allocate_temporary(context, bytes, &selected));
  TRY(run_allocate_temporary(context, (size_t)units * sizeof(int64_t), &counts));
  job.selected = selected;
  job.counts = counts;
  memset(counts, 0, (size_t)units * sizeof(int64_t));
  if (job.most > 0 && units > 0)
    TRY(run_parallel(context, units, work_grain(8.0 * (double)boxes), suppression_body, &job));
  int64_t total = 0;
  for (int64_t i = 0; i < units; i++) total += job.counts[i];
  TRY(run_allocate_output(context, 0, NORMA_INT64, &(shape){.rank = 2, .dims = {total, 3}}, &output));
  int64_t *to = output->data;
  for (int64_t i = 0; i < units; i++) {
    for (int64_t k = 0; k < job.counts[i]; k++, to += 3) {
      to[0] = i / job.scores->dims[1];
      to[1] = i % job.scores->dims[1];
      to[2] = job.selected[i * job.most + k];
    }
  }
  return NORMA_OK;
}

static const operator_attribute suppression_attributes[] = {
    {"center_point_box", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_non_max_suppression[] = {
    {
        .domain = "",
        .name = "NonMaxSuppression",
        .versions = {10, 11},
        .min_inputs = 2,
        .max_inputs = 5,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT), INPUT(0) | INPUT(1) | INPUT(3) | INPUT(4), 0},
                  {TYPE_BIT(NORMA_INT64), INPUT(2), OUTPUT(0)}},
        .attributes = suppression_attributes,
        .state_size = sizeof(suppression_state),
        .read = suppression_read,
        .infer = suppression_infer,
        .prepare = suppression_prepare,
        .compute = suppression_compute,
    },
    {0},
};
