#include "ops/matmul/einsum_plan.h"

#include "ops/half.h"
#include "ops/strided.h"
#include "ops/work.h"

/* ------------------------------------------------------------------------------------------------------------ views */

norma_status einsum_reserve(einsum_walk *walk, int region, int64_t count, void **memory) {
  size_t bytes;
  if (!size_multiply((size_t)count, walk->plan->element_bytes, &bytes) || bytes > SIZE_MAX / 64)
    return prepare_fail(walk->prepare, NORMA_ERROR_BUDGET, "the operands are too large");
  if (walk->bytes[region] < bytes) walk->bytes[region] = bytes;
  *memory = walk->context ? (char *)walk->context->scratch + walk->plan->at[region] : NULL;
  return NORMA_OK;
}

int64_t einsum_stride(const einsum_view *view, int label) {
  for (int i = 0; i < view->term.count; i++) {
    if (view->term.labels[i] == label) return view->strides[i];
  }
  return 0;
}

bool einsum_count(const einsum_plan *plan, const einsum_term *term, int64_t *count) {
  *count = 1;
  for (int i = 0; i < term->count; i++) {
    if (__builtin_mul_overflow(*count, plan->sizes[term->labels[i]], count)) return false;
  }
  return *count < (int64_t)1 << 58;
}

void einsum_contiguous(const einsum_plan *plan, einsum_view *view) {
  int64_t stride = 1;
  for (int i = view->term.count - 1; i >= 0; i--) {
    view->strides[i] = stride;
    stride *= plan->sizes[view->term.labels[i]];
  }
  view->input = -1;
}

/* A walk over the dimensions of `term`, and operands added to it. */
static void einsum_add(strided *walk, const einsum_plan *plan, const einsum_term *term, const einsum_view *view) {
  walk->rank = term->count;
  for (int i = 0; i < term->count; i++) {
    walk->dims[i] = plan->sizes[term->labels[i]];
    walk->strides[walk->operands][i] = einsum_stride(view, term->labels[i]);
  }
  walk->data[walk->operands] = (char *)(uintptr_t)view->data;
  walk->element_bytes[walk->operands++] = plan->element_bytes;
}

norma_status einsum_copy(einsum_walk *walk, const einsum_view *to, const einsum_view *from) {
  strided copy = {0};
  if (!walk->context) return NORMA_OK;
  einsum_add(&copy, walk->plan, &to->term, to);
  einsum_add(&copy, walk->plan, &to->term, from);
  return strided_copy(walk->context, &copy);
}

/* ------------------------------------------------------------------------------------------------------------- sums */

typedef struct einsum_sum_job {
  const einsum_walk *walk;
  const einsum_view *to, *from;
  einsum_term summed;            /* labels, from the largest stride to the smallest */
  int64_t run, run_stride, runs; /* the last of them, and how often it is repeated */
} einsum_sum_job;

/* Where element `index` of these labels lies in a view. */
static int64_t einsum_offset(const einsum_plan *plan, const einsum_term *term, const einsum_view *view, int count,
                             int64_t index) {
  int64_t offset = 0;
  for (int i = count - 1; i >= 0; i--) {
    const int64_t size = plan->sizes[term->labels[i]];
    offset += index % size * einsum_stride(view, term->labels[i]);
    index /= size;
  }
  return offset;
}

static double einsum_sum_run(const einsum_sum_job *job, const void *x) {
  const bool single = job->walk->plan->work == EINSUM_F32;
  double sum = 0;
  if (single && job->run_stride == 1)
    return (double)job->walk->kernels->reduce_f32[REDUCE_SUM]((const float *)x, (size_t)job->run);
  for (int64_t i = 0; i < job->run; i++)
    sum += single ? (double)((const float *)x)[i * job->run_stride] : ((const double *)x)[i * job->run_stride];
  return sum;
}

static void einsum_sum_body(void *argument, int64_t begin, int64_t end, int worker) {
  const einsum_sum_job *job = argument;
  const einsum_plan *plan = job->walk->plan;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t base = einsum_offset(plan, &job->to->term, job->from, job->to->term.count, i);
    double sum = 0;
    uint64_t whole = 0;
    for (int64_t r = 0; r < job->runs; r++) {
      const int64_t at = base + einsum_offset(plan, &job->summed, job->from, job->summed.count - 1, r);
      const char *x = job->from->data + (size_t)at * plan->element_bytes;
      if (plan->work == EINSUM_U64) {
        for (int64_t k = 0; k < job->run; k++) whole += ((const uint64_t *)(const void *)x)[k * job->run_stride];
      } else {
        sum += einsum_sum_run(job, x);
      }
      if (work_interrupted(job->walk->context, r)) return;
    }
    void *y = (char *)(uintptr_t)job->to->data + (size_t)i * plan->element_bytes;
    if (plan->work == EINSUM_U64)
      *(uint64_t *)y = whole;
    else if (plan->work == EINSUM_F64)
      *(double *)y = sum;
    else
      *(float *)y = (float)sum;
  }
}

#define EINSUM_STRIP 256 /* columns that are summed together */

/* Where the last label of `to` lies without gaps: strips of columns, of `rows` rows each at a time. */
static void einsum_sum_strip(const einsum_sum_job *job, const char *x, int64_t columns, void *y) {
  const enum einsum_work work = job->walk->plan->work;
  const int64_t stride = job->run_stride;
  double sum[EINSUM_STRIP] = {0};
  uint64_t whole[EINSUM_STRIP] = {0};
  float part[EINSUM_STRIP];
  for (int64_t r = 0; r < job->runs; r++) {
    const int64_t at = einsum_offset(job->walk->plan, &job->summed, job->from, job->summed.count - 1, r);
    const void *rows = x + (size_t)at * job->walk->plan->element_bytes;
    if (work == EINSUM_F32) {
      job->walk->kernels->reduce_rows_f32[REDUCE_SUM](part, rows, (size_t)job->run, (size_t)columns, (size_t)stride);
      for (int64_t j = 0; j < columns; j++) sum[j] += (double)part[j];
    }
    for (int64_t i = 0; i < job->run && work == EINSUM_F64; i++) {
      for (int64_t j = 0; j < columns; j++) sum[j] += ((const double *)rows)[i * stride + j];
    }
    for (int64_t i = 0; i < job->run && work == EINSUM_U64; i++) {
      for (int64_t j = 0; j < columns; j++) whole[j] += ((const uint64_t *)rows)[i * stride + j];
    }
    if (work_interrupted(job->walk->context, r)) return;
  }
  for (int64_t j = 0; j < columns; j++) {
    if (work == EINSUM_F32)
      ((float *)y)[j] = (float)sum[j];
    else if (work == EINSUM_F64)
      ((double *)y)[j] = sum[j];
    else
      ((uint64_t *)y)[j] = whole[j];
  }
}

static void einsum_sum_strips_body(void *argument, int64_t begin, int64_t end, int worker) {
  const einsum_sum_job *job = argument;
  const einsum_plan *plan = job->walk->plan;
  const einsum_term *kept = &job->to->term;
  const int64_t width = plan->sizes[kept->labels[kept->count - 1]], strips = divide_up(width, EINSUM_STRIP);
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t first = i % strips * EINSUM_STRIP, outer = i / strips;
    const int64_t columns = width - first < EINSUM_STRIP ? width - first : EINSUM_STRIP;
    const int64_t from = einsum_offset(plan, kept, job->from, kept->count - 1, outer) + first;
    einsum_sum_strip(job, job->from->data + (size_t)from * plan->element_bytes, columns,
                     (char *)(uintptr_t)job->to->data + (size_t)(outer * width + first) * plan->element_bytes);
  }
}

norma_status einsum_sum(einsum_walk *walk, const einsum_view *to, const einsum_view *from) {
  einsum_sum_job job = {.walk = walk, .to = to, .from = from, .runs = 1};
  int64_t count;
  if (!walk->context) return NORMA_OK;
  for (int i = 0; i < from->term.count; i++) { /* insertion by stride */
    const uint8_t label = from->term.labels[i];
    if (einsum_has(&to->term, label)) continue;
    int at = job.summed.count++;
    for (; at > 0 && einsum_stride(from, job.summed.labels[at - 1]) < from->strides[i]; at--)
      job.summed.labels[at] = job.summed.labels[at - 1];
    job.summed.labels[at] = label;
  }
  const uint8_t last = job.summed.labels[job.summed.count - 1];
  job.run = walk->plan->sizes[last];
  job.run_stride = einsum_stride(from, last);
  for (int i = 0; i < job.summed.count - 1; i++) job.runs *= walk->plan->sizes[job.summed.labels[i]];
  einsum_count(walk->plan, &to->term, &count);
  const double cost = 4.0 * (double)job.run * (double)job.runs;
  if (to->term.count > 0 && einsum_stride(from, to->term.labels[to->term.count - 1]) == 1) {
    const int64_t width = walk->plan->sizes[to->term.labels[to->term.count - 1]];
    const int64_t columns = width < EINSUM_STRIP ? width : EINSUM_STRIP;
    return run_parallel(walk->context, count / width * divide_up(width, EINSUM_STRIP),
                        work_grain(cost / 4 * (double)columns), einsum_sum_strips_body, &job);
  }
  return run_parallel(walk->context, count, work_grain(cost), einsum_sum_body, &job);
}

/* --------------------------------------------------------------------------------------------------------- operands */

typedef struct einsum_convert_job {
  const einsum_walk *walk;
  norma_element_type type;
  const void *from;
  void *to;
} einsum_convert_job;

static void einsum_widen_body(void *argument, int64_t begin, int64_t end, int worker) {
  const einsum_convert_job *job = argument;
  (void)worker;
  if (is_half(job->type)) {
    half_to_float(job->walk->kernels, job->type, (float *)job->to + begin, (const uint16_t *)job->from + begin,
                  end - begin);
    return;
  }
  for (int64_t i = begin; i < end; i++) ((int64_t *)job->to)[i] = element_get_int64(job->type, job->from, i);
}

static void einsum_narrow_body(void *argument, int64_t begin, int64_t end, int worker) {
  const einsum_convert_job *job = argument;
  (void)worker;
  if (is_half(job->type)) {
    half_from_float(job->walk->kernels, job->type, (uint16_t *)job->to + begin, (const float *)job->from + begin,
                    end - begin);
    return;
  }
  for (int64_t i = begin; i < end; i++) element_set_int64(job->type, job->to, i, ((const int64_t *)job->from)[i]);
}

#define EINSUM_CONVERT_GRAIN 16384

/* Whether elements are worked on in another form than they have. */
static bool einsum_converts(const einsum_plan *plan) {
  return plan->type != NORMA_FLOAT && plan->type != NORMA_DOUBLE;
}

static const int64_t *einsum_dims(const einsum_walk *walk, int index, int *rank) {
  if (walk->context) {
    const norma_tensor *tensor = run_input(walk->context, index);
    *rank = tensor->rank;
    return tensor->dims;
  }
  const shape *shape = prepare_shape(walk->prepare, index);
  *rank = shape->rank;
  return shape->dims;
}

/* An operand's dimensions as they lie in memory; repeated labels walk along the diagonal. */
static norma_status einsum_view_operand(einsum_walk *walk, int index, size_t *cursor, einsum_view *view) {
  int rank, ellipsis;
  const int64_t *dims = einsum_dims(walk, index, &rank);
  einsum_term term;
  int64_t stride = 1;
  einsum_next_term(walk->equation, cursor, rank, &term, &ellipsis);
  *view = (einsum_view){.input = index};
  for (int i = rank - 1; i >= 0; stride *= dims[i--]) {
    int at = 0;
    if (dims[i] == 1) continue;
    while (at < view->term.count && view->term.labels[at] != term.labels[i]) at++;
    if (at == view->term.count) {
      view->term.count++;
      view->term.labels[at] = term.labels[i];
      view->strides[at] = 0;
    }
    view->strides[at] += stride;
  }
  if (walk->context) view->data = run_input(walk->context, index)->data;
  return NORMA_OK;
}

/* The operand as it takes part: converted, and without labels that nothing else has. */
static norma_status einsum_load(einsum_walk *walk, int index, int slot, size_t *cursor, einsum_view *view) {
  const einsum_plan *plan = walk->plan;
  TRY(einsum_view_operand(walk, index, cursor, view));
  const bool is_packed = walk->context && plan->operands == 2 && plan->packed[index];
  if (einsum_converts(plan) && !is_packed) {
    int rank;
    const int64_t *dims = einsum_dims(walk, index, &rank);
    const int64_t count = dims_product(dims, 0, rank);
    void *converted;
    TRY(einsum_reserve(walk, EINSUM_CONVERTED + slot, count, &converted));
    if (walk->context) {
      einsum_convert_job job = {walk, plan->type, view->data, converted};
      TRY(run_parallel(walk->context, count, EINSUM_CONVERT_GRAIN, einsum_widen_body, &job));
    }
    view->data = converted;
  }
  einsum_view kept = {.input = -1};
  for (int i = 0; i < view->term.count; i++) {
    const uint8_t label = view->term.labels[view->term.count - 1 - i]; /* from the outermost on */
    if (plan->uses[label] > 1 || einsum_has(&plan->result, label)) kept.term.labels[kept.term.count++] = label;
  }
  if (kept.term.count == view->term.count) return NORMA_OK;
  int64_t count;
  void *sums;
  einsum_count(plan, &kept.term, &count);
  TRY(einsum_reserve(walk, EINSUM_SUMMED + slot, count, &sums));
  kept.data = sums;
  einsum_contiguous(plan, &kept);
  TRY(einsum_sum(walk, &kept, view));
  *view = kept;
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------- walk */

/* Where the result goes: a view of the output, or of what is converted to it. */
static norma_status einsum_place(einsum_walk *walk, einsum_view *place) {
  const einsum_plan *plan = walk->plan;
  int64_t count;
  void *memory = NULL;
  *place = (einsum_view){0};
  for (int i = 0; i < plan->result.count; i++) {
    if (plan->sizes[plan->result.labels[i]] != 1) place->term.labels[place->term.count++] = plan->result.labels[i];
  }
  einsum_contiguous(plan, place);
  if (!einsum_count(plan, &place->term, &count))
    return prepare_fail(walk->prepare, NORMA_ERROR_BUDGET, "the result is too large");
  if (einsum_converts(plan))
    TRY(einsum_reserve(walk, EINSUM_FINAL, count, &memory));
  else if (walk->context)
    memory = run_output(walk->context, 0)->data;
  place->data = memory;
  return NORMA_OK;
}

/* What is left becomes the output. */
static norma_status einsum_finish(einsum_walk *walk, const einsum_view *left, const einsum_view *place) {
  int64_t count;
  if (!walk->context) return NORMA_OK;
  if (left->data != place->data) TRY(einsum_copy(walk, place, left));
  if (!einsum_converts(walk->plan)) return NORMA_OK;
  einsum_count(walk->plan, &place->term, &count);
  einsum_convert_job job = {walk, walk->plan->type, place->data, run_output(walk->context, 0)->data};
  return run_parallel(walk->context, count, EINSUM_CONVERT_GRAIN, einsum_narrow_body, &job);
}

/* Labels of a and b that the result or one of the others has; more than a tensor may have are too many. */
static bool einsum_kept(const einsum_plan *plan, const einsum_view *views, int count, int a, int b, einsum_term *kept) {
  bool wanted[EINSUM_LABELS] = {false};
  kept->count = 0;
  for (int i = 0; i < plan->result.count; i++) wanted[plan->result.labels[i]] = true;
  for (int v = 0; v < count; v++) {
    for (int i = 0; i < views[v].term.count && v != a && v != b; i++) wanted[views[v].term.labels[i]] = true;
  }
  for (int side = 0; side < 2; side++) {
    const einsum_term *term = &views[side == 0 ? a : b].term;
    for (int i = 0; i < term->count; i++) {
      if (!wanted[term->labels[i]] || einsum_has(kept, term->labels[i])) continue;
      if (kept->count == NORMA_MAX_RANK) return false;
      kept->labels[kept->count++] = term->labels[i];
    }
  }
  return true;
}

/* The pair whose product takes least more memory than both. false: none gives a tensor. */
static bool einsum_choose(const einsum_plan *plan, const einsum_view *views, int count, int *first, int *second) {
  double best = 0;
  *first = -1;
  for (int a = 0; a < count; a++) {
    for (int b = a + 1; b < count; b++) {
      einsum_term kept;
      if (!einsum_kept(plan, views, count, a, b, &kept)) continue;
      double sizes[3] = {1, 1, 1};
      const einsum_term *terms[3] = {&kept, &views[a].term, &views[b].term};
      for (int t = 0; t < 3; t++) {
        for (int i = 0; i < terms[t]->count; i++) sizes[t] *= (double)plan->sizes[terms[t]->labels[i]];
      }
      const double cost = sizes[0] - sizes[1] - sizes[2];
      if (*first >= 0 && cost >= best) continue;
      best = cost;
      *first = a;
      *second = b;
    }
  }
  return *first >= 0;
}

static norma_status einsum_too_many(einsum_walk *walk) {
  return prepare_fail(walk->prepare, NORMA_ERROR_UNSUPPORTED, "an intermediate product has more than %d dimensions",
                      NORMA_MAX_RANK);
}

static norma_status einsum_by_cost(einsum_walk *walk, const einsum_view *place) {
  const einsum_plan *plan = walk->plan;
  einsum_view views[EINSUM_GREEDY];
  size_t cursor = 0;
  int count = plan->operands;
  for (int i = 0; i < count; i++) TRY(einsum_load(walk, i, i, &cursor, &views[i]));
  for (int step = 0; count > 1; step++, count--) {
    int a = 0, b = 1;
    einsum_term kept;
    einsum_view product;
    if (!einsum_choose(plan, views, count, &a, &b)) return einsum_too_many(walk);
    einsum_kept(plan, views, count, a, b, &kept);
    TRY(einsum_contract(walk, &views[a], &views[b], &kept, EINSUM_PRODUCT + step, count == 2 ? place : NULL, &product));
    views[a] = product;
    views[b] = views[count - 1];
  }
  return einsum_finish(walk, &views[0], place);
}

/* For many operands: the product so far, and the next one. */
static norma_status einsum_from_left(einsum_walk *walk, const einsum_view *place) {
  const einsum_plan *plan = walk->plan;
  einsum_view product, next, both;
  size_t cursor = 0;
  TRY(einsum_load(walk, 0, 0, &cursor, &product));
  for (int i = 1; i < plan->operands; i++) {
    einsum_term kept = {0};
    TRY(einsum_load(walk, i, i % 2, &cursor, &next));
    for (int side = 0; side < 2; side++) {
      const einsum_term *term = side == 0 ? &product.term : &next.term;
      for (int k = 0; k < term->count; k++) {
        const uint8_t label = term->labels[k];
        if ((plan->last[label] <= i && !einsum_has(&plan->result, label)) || einsum_has(&kept, label)) continue;
        if (kept.count == NORMA_MAX_RANK) return einsum_too_many(walk);
        kept.labels[kept.count++] = label;
      }
    }
    const bool last = i == plan->operands - 1;
    TRY(einsum_contract(walk, &product, &next, &kept, EINSUM_PRODUCT + i % 2, last ? place : NULL, &both));
    product = both;
  }
  return einsum_finish(walk, &product, place);
}

norma_status einsum_run_walk(einsum_walk *walk) {
  einsum_view place;
  TRY(einsum_place(walk, &place));
  return walk->plan->operands <= EINSUM_GREEDY ? einsum_by_cost(walk, &place) : einsum_from_left(walk, &place);
}
