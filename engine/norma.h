/*
 * Norma: an inference engine for ONNX models, in C.
 *
 * This header is the whole public interface and its manual. A program loads a model, creates a session, sets inputs,
 * runs, and reads outputs:
 *
 *     norma_model *model;
 *     norma_session *session;
 *     norma_error error;
 *     if (norma_model_load("model.onnx", NULL, &model, &error) != NORMA_OK) { puts(error.message); return 1; }
 *     if (norma_session_create(model, NULL, &session, &error) != NORMA_OK) ...
 *     norma_session_set_input(session, "x", &x, &error);
 *     norma_session_run(session, &error);
 *     const norma_tensor *y = norma_value_tensor(norma_session_output(session, 0));
 *     norma_session_destroy(session);
 *     norma_model_destroy(model);
 *
 * Ownership words. "borrowed until E": the library keeps the pointer and reads it until event E; the caller keeps
 * ownership. "copied": the caller may free at once. "valid until E": the library owns what it returned and may change
 * it at E. Every destroy function accepts NULL.
 *
 * Errors. Each call that can fail returns a norma_status. An optional norma_error, owned by the caller, receives the
 * details; it is written only when the call fails. The library prints nothing, ends no process and has no global state.
 *
 * Threads. A runtime and a model may be used by any number of threads at once; a session by one thread at a time. A
 * child that was forked while no other thread was in a call may use all of them; it computes on the calling thread.
 *
 * Hostile models and inputs. Any bytes given as a model and any tensors given as inputs end in a result or in an error
 * that says which node, field and value is wrong. Memory stays safe, and nothing leaks; the budgets of a runtime for
 * memory, nodes and nesting hold; a time limit or a request from another thread ends the work; 256 KiB of stack are
 * enough. Runs change neither model nor inputs, and a session whose run failed is as good as before. What is outside of
 * this, what its gaps are and which tests hold it: engine/SECURITY.md.
 *
 * Structs. Options and answers begin with their size, which the caller sets: they may grow at their end, and a program
 * that was compiled with a shorter one goes on working. All else of options may be zero:
 * `norma_run_options options = {.struct_size = sizeof options};`, and in C++ before 20
 * `norma_run_options options = {}; options.struct_size = sizeof options;`.
 *
 * In this order: status and errors; the runtime; cancellation; tensors and values; models and what is in them; sessions
 * and runs; statistics, edits and writing; BatchNormalization; what the build can do; operators of the program's own.
 */
#ifndef NORMA_H
#define NORMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(NORMA_BUILD_SHARED) && defined(__GNUC__)
#define NORMA_API __attribute__((visibility("default")))
#else
#define NORMA_API
#endif

#if defined(__GNUC__)
#define NORMA_PRINTF(text, arguments) __attribute__((format(printf, text, arguments)))
#else
#define NORMA_PRINTF(text, arguments)
#endif

#define NORMA_VERSION_MAJOR 0
#define NORMA_VERSION_MINOR 1
#define NORMA_VERSION_PATCH 0

/* The version of the library that is linked, such as "0.1.0". A string literal. */
NORMA_API const char *norma_version(void);

/* What the build contains, one item after the other separated by "; ": kernel tables ("avx2") and their overrides
 * ("avx2+avx_vnni"), optional libraries, and what it was built without. A string literal. */
NORMA_API const char *norma_build_features(void);

/* ---------------------------------------------------------------------------------------------------- status, error */

/* X(constant, text). The order is part of the binary interface: new ones are added at the end. */
#define NORMA_STATUS_LIST(X)                                                                                           \
  X(NORMA_OK, "ok")                                                                                                    \
  X(NORMA_ERROR_ARGUMENT, "invalid argument")   /* the call itself is wrong: NULL, unknown name, wrong order */        \
  X(NORMA_ERROR_OUT_OF_MEMORY, "out of memory") /* the allocator returned NULL */                                      \
  X(NORMA_ERROR_BUDGET, "budget exceeded")      /* more bytes, nodes or depth than the runtime allows */               \
  X(NORMA_ERROR_FILE, "file error")             /* a file cannot be opened, read or written */                         \
  X(NORMA_ERROR_FORMAT, "malformed file")       /* the bytes are not an ONNX model (or tensor) */                      \
  X(NORMA_ERROR_INVALID_MODEL, "invalid model") /* an ONNX model that breaks the specification */                      \
  X(NORMA_ERROR_UNSUPPORTED, "unsupported")     /* a valid model that this build cannot run */                         \
  X(NORMA_ERROR_INPUT, "invalid input")         /* an input is missing, or has the wrong type or shape */              \
  X(NORMA_ERROR_RUN, "operator failed")         /* a value found while running makes an operator undefined */          \
  X(NORMA_ERROR_CANCELLED, "cancelled")                                                                                \
  X(NORMA_ERROR_DEADLINE, "deadline exceeded")                                                                         \
  X(NORMA_ERROR_THREAD, "thread creation failed")                                                                      \
  X(NORMA_ERROR_INTERNAL, "internal error") /* a defect of Norma: please report it */

typedef enum norma_status {
#define NORMA_STATUS_ENTRY(constant, text) constant,
  NORMA_STATUS_LIST(NORMA_STATUS_ENTRY)
#undef NORMA_STATUS_ENTRY
} norma_status;

/* "budget exceeded" for NORMA_ERROR_BUDGET and so on; a string literal, also for values that are no status. */
NORMA_API const char *norma_status_text(norma_status status);

/* What went wrong and where. Fields that do not apply are empty strings. Long names are cut. */
typedef struct norma_error {
  norma_status status;
  int64_t opset;      /* the opset version that the model imports for `domain`, 0 if no operator is concerned */
  char node[128];     /* the node's name in the model, or "#5 (Conv)" if it has none */
  char op_type[64];   /* "Conv" */
  char domain[64];    /* "ai.onnx" for the default domain */
  char value[128];    /* the value (tensor) concerned, by its name in the model */
  char message[1024]; /* one sentence for a person, naming all of the above that apply; no final newline */
} norma_error;

/* ---------------------------------------------------------------------------------------------------------- runtime */

typedef enum norma_log_level { NORMA_LOG_ERROR, NORMA_LOG_WARNING, NORMA_LOG_INFO, NORMA_LOG_DEBUG } norma_log_level;

/* The caller's memory. allocate returns memory aligned to `alignment` (a power of two up to 64), or NULL. deallocate
 * gets what allocate returned and the same size. Both are called from any thread that uses the library. */
typedef struct norma_allocator {
  void *(*allocate)(void *context, size_t size, size_t alignment);
  void (*deallocate)(void *context, void *pointer, size_t size);
  void *context;
} norma_allocator;

/* A caller's parallel-for. It must call body(argument, i, worker) once for each i in 0 .. count - 1, in any order and
 * on any threads, and return when all are done; `worker` is in 0 .. norma_runtime_options.threads - 1 and no two calls
 * that run at the same time have the same one. */
typedef void (*norma_parallel_body)(void *argument, size_t index, int worker);
typedef void (*norma_parallel_for)(void *context, size_t count, norma_parallel_body body, void *argument);

/* Called with one line at a time, without a newline; from the thread that made the call into the library. */
typedef void (*norma_log)(void *context, norma_log_level level, const char *line);

/* What the embedding program chooses once. Zero means the default everywhere: begin with
 * `norma_runtime_options options = {.struct_size = sizeof options};`. */
typedef struct norma_runtime_options {
  size_t struct_size;          /* sizeof(norma_runtime_options) */
  norma_allocator allocator;   /* default: aligned_alloc and free */
  int threads;                 /* workers including the calling thread; default: the CPUs this process may use */
  norma_parallel_for parallel; /* default: Norma's own pool of threads - 1 workers, asleep when nothing runs */
  void *parallel_context;
  norma_log log; /* default: none */
  void *log_context;
  size_t max_memory_bytes; /* budget for all memory of this runtime's models and sessions; default: the memory of
                                  the machine, so that absurd sizes end in an error, not in the system running dry */
  size_t max_nodes;        /* budget for nodes of one model, functions expanded; default 1,000,000 */
  int max_depth;           /* budget for nested subgraphs and functions; default 32 */
  const char *kernels;     /* a kernel table by name, such as "avx2", with the overrides that run on this CPU, or
                              without them ("avx2:plain"); default: the best that runs; norma_kernel_table lists all */
} norma_runtime_options;

typedef struct norma_runtime norma_runtime;

/* Creates a runtime; `options` may be NULL and is copied. The runtime must outlive its models and values. Errors:
 * ARGUMENT (an option cannot be, or the kernel table does not exist or cannot run here), OUT_OF_MEMORY, BUDGET,
 * THREAD. */
NORMA_API norma_status norma_runtime_create(const norma_runtime_options *options, norma_runtime **runtime,
                                            norma_error *error);
NORMA_API void norma_runtime_destroy(norma_runtime *runtime);

/* Bytes that the runtime's models, sessions and values hold now, and the most they ever held. */
NORMA_API size_t norma_runtime_memory_used(const norma_runtime *runtime);
NORMA_API size_t norma_runtime_memory_peak(const norma_runtime *runtime);

/* The workers that it computes with, the calling thread included; 0 for NULL. */
NORMA_API int norma_runtime_threads(const norma_runtime *runtime);

/* The kernel table that it uses, such as "avx2"; "" for NULL. A string literal. */
NORMA_API const char *norma_runtime_kernels(const norma_runtime *runtime);

/* ----------------------------------------------------------------------------------------------------- cancellation */

/*
 * Work that ends before it is done. Loads, plans, runs, edits and writing take a time limit and a function that they
 * ask again and again whether to go on; they end with NORMA_ERROR_DEADLINE or NORMA_ERROR_CANCELLED within some 10 ms,
 * and then everything is as before the call, except that bound outputs have any contents and a file that was to be
 * written is not there. The function may be the program's own, or that of a norma_cancellation:
 *
 *     norma_cancellation *stop;
 *     norma_cancellation_create(NULL, &stop, NULL);
 *     norma_load_options options = {.struct_size = sizeof options, .timeout = 30};
 *     options.is_cancelled = norma_cancellation_is_requested;
 *     options.cancel_context = stop;
 *     norma_model_load(...);                  // on this thread
 *     norma_cancellation_request(stop);       // on any other, at any time
 */
typedef struct norma_cancellation norma_cancellation;

/* A request that nobody has made. Any number of calls may ask it at once, and it must outlive them. It takes memory of
 * `runtime`, which must outlive it; NULL: of the system. Errors: ARGUMENT, OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_cancellation_create(norma_runtime *runtime, norma_cancellation **cancellation,
                                                 norma_error *error);
NORMA_API void norma_cancellation_destroy(norma_cancellation *cancellation);

/* Makes the request, from any thread (and from a signal handler); it stands until it is taken back. */
NORMA_API void norma_cancellation_request(norma_cancellation *cancellation);
NORMA_API void norma_cancellation_reset(norma_cancellation *cancellation);

/* Whether the request is made; `cancellation` is a norma_cancellation. For the field is_cancelled of options. */
NORMA_API bool norma_cancellation_is_requested(void *cancellation);

/* Limits of calls that take no options of their own. Begin with `norma_limits limits = {.struct_size = sizeof limits};`
 */
typedef struct norma_limits {
  size_t struct_size;
  double timeout; /* seconds; 0: no limit */
  bool (*is_cancelled)(void *context);
  void *cancel_context;
} norma_limits;

/* ----------------------------------------------------------------------------------------------------------- tensor */

/* Element types; the numbers are those of ONNX's TensorProto.DataType. X(constant, number, name, bits per element). */
#define NORMA_ELEMENT_TYPE_LIST(X)                                                                                     \
  X(NORMA_UNDEFINED, 0, "undefined", 0)                                                                                \
  X(NORMA_FLOAT, 1, "float", 32)                                                                                       \
  X(NORMA_UINT8, 2, "uint8", 8)                                                                                        \
  X(NORMA_INT8, 3, "int8", 8)                                                                                          \
  X(NORMA_UINT16, 4, "uint16", 16)                                                                                     \
  X(NORMA_INT16, 5, "int16", 16)                                                                                       \
  X(NORMA_INT32, 6, "int32", 32)                                                                                       \
  X(NORMA_INT64, 7, "int64", 64)                                                                                       \
  X(NORMA_STRING, 8, "string", 128)                                                                                    \
  X(NORMA_BOOL, 9, "bool", 8)                                                                                          \
  X(NORMA_FLOAT16, 10, "float16", 16)                                                                                  \
  X(NORMA_DOUBLE, 11, "double", 64)                                                                                    \
  X(NORMA_UINT32, 12, "uint32", 32)                                                                                    \
  X(NORMA_UINT64, 13, "uint64", 64)                                                                                    \
  X(NORMA_COMPLEX64, 14, "complex64", 64)                                                                              \
  X(NORMA_COMPLEX128, 15, "complex128", 128)                                                                           \
  X(NORMA_BFLOAT16, 16, "bfloat16", 16)                                                                                \
  X(NORMA_FLOAT8E4M3FN, 17, "float8e4m3fn", 8)                                                                         \
  X(NORMA_FLOAT8E4M3FNUZ, 18, "float8e4m3fnuz", 8)                                                                     \
  X(NORMA_FLOAT8E5M2, 19, "float8e5m2", 8)                                                                             \
  X(NORMA_FLOAT8E5M2FNUZ, 20, "float8e5m2fnuz", 8)                                                                     \
  X(NORMA_UINT4, 21, "uint4", 4)                                                                                       \
  X(NORMA_INT4, 22, "int4", 4)                                                                                         \
  X(NORMA_FLOAT4E2M1, 23, "float4e2m1", 4)                                                                             \
  X(NORMA_FLOAT8E8M0, 24, "float8e8m0", 8)                                                                             \
  X(NORMA_UINT2, 25, "uint2", 2)                                                                                       \
  X(NORMA_INT2, 26, "int2", 2)                                                                                         \
  X(NORMA_FLOAT6E2M3, 27, "float6e2m3", 6)                                                                             \
  X(NORMA_FLOAT6E3M2, 28, "float6e3m2", 6)

typedef enum norma_element_type {
#define NORMA_ELEMENT_TYPE_ENTRY(constant, number, name, bits) constant = number,
  NORMA_ELEMENT_TYPE_LIST(NORMA_ELEMENT_TYPE_ENTRY)
#undef NORMA_ELEMENT_TYPE_ENTRY
} norma_element_type;

#define NORMA_ELEMENT_TYPE_COUNT 29

/* "float16" for NORMA_FLOAT16 and so on; "undefined" for numbers that are no element type. A string literal. */
NORMA_API const char *norma_element_type_name(norma_element_type type);

/* The element type of that name; NORMA_UNDEFINED if there is none. */
NORMA_API norma_element_type norma_element_type_find(const char *name);

/* Bits per element, as in the list above; 0 for numbers that are no element type. */
NORMA_API int norma_element_type_bits(norma_element_type type);

/* What kind of thing an element is, whatever its size: float8e4m3fn is a FLOAT, int4 SIGNED. */
typedef enum norma_element_class {
  NORMA_CLASS_NONE, /* of NORMA_UNDEFINED and of numbers that are no element type */
  NORMA_CLASS_BOOL,
  NORMA_CLASS_SIGNED,
  NORMA_CLASS_UNSIGNED,
  NORMA_CLASS_FLOAT,
  NORMA_CLASS_COMPLEX,
  NORMA_CLASS_STRING
} norma_element_class;

NORMA_API norma_element_class norma_element_type_class(norma_element_type type);

/* One element of a string tensor: UTF-8 bytes, not terminated; NULL only where size is 0. */
typedef struct norma_string {
  const char *data;
  size_t size;
} norma_string;

#define NORMA_MAX_RANK 16 /* tensors of a higher rank are refused at load */

/*
 * A dense row-major tensor: a view, it owns nothing. Bool is one byte per element (0 or 1). Types below 8 bits are
 * packed as ONNX packs them in raw data: the first element in the lowest bits, bytes = ceil(elements * bits / 8).
 * String tensors hold norma_string elements. Complex elements are pairs (real, imaginary).
 */
typedef struct norma_tensor {
  norma_element_type type;
  int rank;                     /* 0 for a scalar */
  int64_t dims[NORMA_MAX_RANK]; /* the first `rank` count; zero is a valid size */
  void *data;                   /* may be NULL when the tensor has no elements; aligned to its element at least */
  size_t size_bytes;            /* as norma_tensor_size gives it */
} norma_tensor;

/* The bytes that a tensor of this type and shape takes. Errors: NORMA_ERROR_ARGUMENT for a rank outside 0 to
 * NORMA_MAX_RANK, a negative size, an element type that does not exist, or a product over SIZE_MAX / 2, sizes of 0 left
 * out. */
NORMA_API norma_status norma_tensor_size(norma_element_type type, int rank, const int64_t *dims, size_t *bytes);

/* Fills *tensor with a view of `data`; nothing is copied. Errors as norma_tensor_size. */
NORMA_API norma_status norma_tensor_init(norma_tensor *tensor, norma_element_type type, int rank, const int64_t *dims,
                                         void *data);

/* The number of elements, 1 for a scalar. */
NORMA_API int64_t norma_tensor_count(const norma_tensor *tensor);

/*
 * Elements first .. first + count - 1 of a tensor of numbers or bool, whatever its type, as doubles or as 64-bit
 * integers, and back: half floats, bfloat16 and packed types need no code of the caller's.
 *
 *   get_doubles     64-bit integers may lose low bits
 *   set_doubles     rounds to the nearest value of the type, ties to even (floats of 8 bits and less end at the ends of
 *                   their range); to integers cuts off the fraction and ends at the ends of the range, NaN becomes 0
 *   get_integers    cuts off fractions and ends at the ends of int64; uint64 gives its bits
 *   set_integers    keeps the low bits of integer types; to floats rounds
 *
 * Errors: ARGUMENT for strings, for complex numbers (which may be seen as floats, two for each), for elements that are
 * not there, and for a tensor whose fields do not agree; then nothing was read or written.
 */
NORMA_API norma_status norma_tensor_get_doubles(const norma_tensor *tensor, int64_t first, int64_t count,
                                                double *result);
NORMA_API norma_status norma_tensor_set_doubles(norma_tensor *tensor, int64_t first, int64_t count,
                                                const double *numbers);
NORMA_API norma_status norma_tensor_get_integers(const norma_tensor *tensor, int64_t first, int64_t count,
                                                 int64_t *result);
NORMA_API norma_status norma_tensor_set_integers(norma_tensor *tensor, int64_t first, int64_t count,
                                                 const int64_t *numbers);

/* ------------------------------------------------------------------------------------------------------------ value */

/* What flows along the edges of a graph: a tensor, or one of ONNX's containers. */
typedef enum norma_value_kind {
  NORMA_VALUE_NONE, /* absent, or an optional without an element */
  NORMA_VALUE_TENSOR,
  NORMA_VALUE_SEQUENCE, /* elements are values of one kind */
  NORMA_VALUE_OPTIONAL, /* zero or one element */
  NORMA_VALUE_MAP       /* two elements: a tensor of keys, a tensor (or sequence) of values in the same order */
} norma_value_kind;

typedef struct norma_value norma_value;

NORMA_API norma_value_kind norma_value_get_kind(const norma_value *value);

/* The tensor of a value of kind NORMA_VALUE_TENSOR; NULL for other kinds and for NULL. Valid as long as the value. */
NORMA_API const norma_tensor *norma_value_tensor(const norma_value *value);

/* The number of elements of a sequence, optional or map; 0 for a tensor. */
NORMA_API size_t norma_value_count(const norma_value *value);

/* Element `index`, or NULL when out of range. Valid as long as the value. A map has its keys as element 0, its values
 * as element 1. */
NORMA_API const norma_value *norma_value_element(const norma_value *value, size_t index);

/*
 * Values of the caller's own. Each is made with the memory of a runtime, which must outlive it, and freed by
 * norma_value_destroy. What a value holds is counted: containers and copies share it instead of copying. A value never
 * changes its type, shape or elements' number; who has made it may write elements (norma_value_tensor()->data) until
 * others read it. Any number of threads may read a value, copy it and destroy copies of it at once.
 *
 * All constructors: on failure *value is NULL. Errors: ARGUMENT (NULL, or what cannot be such a value), OUT_OF_MEMORY,
 * BUDGET.
 */

/* A tensor whose data are copied, the characters of strings too. */
NORMA_API norma_status norma_value_create_tensor(norma_runtime *runtime, const norma_tensor *tensor,
                                                 norma_value **value, norma_error *error);

/* A tensor of this type and shape whose data are undefined (strings: all empty), to be filled in by the caller. */
NORMA_API norma_status norma_value_allocate_tensor(norma_runtime *runtime, norma_element_type type, int rank,
                                                   const int64_t *dims, norma_value **value, norma_error *error);

/* A tensor that takes over the caller's data: release(context) is called once, on any thread, when nothing needs them
 * any more; NULL where nothing is to be done. On failure it is not called, and the data stay the caller's. */
typedef void (*norma_release)(void *context);
NORMA_API norma_status norma_value_adopt_tensor(norma_runtime *runtime, const norma_tensor *tensor,
                                                norma_release release, void *context, norma_value **value,
                                                norma_error *error);

/* A view: the data are borrowed until the value is destroyed. Containers and copies made of it copy the data. */
NORMA_API norma_status norma_value_borrow_tensor(norma_runtime *runtime, const norma_tensor *tensor,
                                                 norma_value **value, norma_error *error);

/* A string tensor of this shape; strings and their characters are copied. */
NORMA_API norma_status norma_value_create_strings(norma_runtime *runtime, int rank, const int64_t *dims,
                                                  const norma_string *strings, norma_value **value, norma_error *error);

/* A sequence of `count` elements of one kind (tensors: of one element type), which stay the caller's: their contents
 * are shared, those of views copied. */
NORMA_API norma_status norma_value_create_sequence(norma_runtime *runtime, const norma_value *const *elements,
                                                   size_t count, norma_value **value, norma_error *error);

/* An optional; `element` NULL: an empty one. */
NORMA_API norma_status norma_value_create_optional(norma_runtime *runtime, const norma_value *element,
                                                   norma_value **value, norma_error *error);

/* A map: `keys` is a tensor of rank 1 of integers or strings, each once; `values` a tensor of rank 1 (of no packed
 * type), or a sequence, of as many values in the same order. */
NORMA_API norma_status norma_value_create_map(norma_runtime *runtime, const norma_value *keys,
                                              const norma_value *values, norma_value **value, norma_error *error);

/* A value of the caller's own with the contents of any other, such as an output that is to be kept beyond the next run.
 * Contents are shared where `original` owns them, when its runtime has to outlive the copy too, and copied where it is
 * a view. */
NORMA_API norma_status norma_value_copy(norma_runtime *runtime, const norma_value *original, norma_value **value,
                                        norma_error *error);

NORMA_API void norma_value_destroy(norma_value *value);

/* A value from the bytes of a TensorProto, SequenceProto, OptionalProto or MapProto, as .pb files hold them. The bytes
 * do not tell which of these they are: `kind` does. `data` is borrowed during the call. A map's values that are single
 * numbers of one type become one tensor. Errors: as above, FORMAT, INVALID_MODEL (its parts do not fit together),
 * UNSUPPORTED (external data). */
NORMA_API norma_status norma_value_read(norma_runtime *runtime, const void *data, size_t size, norma_value_kind kind,
                                        norma_value **value, norma_error *error);

/* Takes the next `count` bytes of something that is written; false ends the writing with NORMA_ERROR_FILE. */
typedef bool (*norma_write)(void *context, const void *bytes, size_t count);

/* The reverse. `name` goes into the message, may be NULL. Errors: ARGUMENT (also for kind NONE), FILE (`write` said
 * so), OUT_OF_MEMORY, BUDGET (also for more than 48 containers within each other). */
NORMA_API norma_status norma_value_write(norma_runtime *runtime, const norma_value *value, const char *name,
                                         norma_write write, void *context, norma_error *error);

/* ------------------------------------------------------------------------------------------------------------ model */

/* Supplies external data for a model that comes from memory: writes `length` bytes that stand at `offset` of the file
 * named `location` to `destination`, and returns true; false is an error. `length` 0 with destination NULL never
 * happens. */
typedef bool (*norma_read_external)(void *context, const char *location, uint64_t offset, uint64_t length,
                                    void *destination);

/* One thing that keeps a model from running; see norma_load_options.report. */
typedef struct norma_unsupported {
  const char *node; /* as norma_error.node */
  const char *op_type;
  const char *domain;
  int64_t opset;
  const char *reason; /* "operator not known", "element type bfloat16 of input 0", ... */
} norma_unsupported;

typedef void (*norma_report_unsupported)(void *context, const norma_unsupported *item);

/* How much of the graph is rewritten at load. */
typedef enum norma_optimization {
  NORMA_OPTIMIZE_DEFAULT,
  NORMA_OPTIMIZE_NONE,  /* -O 0: the graph exactly as exported */
  NORMA_OPTIMIZE_BASIC, /* -O 1: constants folded, no-ops and dead code removed */
  NORMA_OPTIMIZE_FULL   /* -O 2: operators fused as well */
} norma_optimization;

/* What the graph of a loaded model is for. */
typedef enum norma_graph_form {
  NORMA_FORM_RUN,      /* to be run: fused nodes, inner layouts, packed weights, as the level of optimisation says */
  NORMA_FORM_INSPECT,  /* to be looked at, as the file has it, with functions expanded. Operators that this build lacks,
                          and nodes that are invalid, are no error; types and shapes are inferred as far as they go;
                          there are no sessions. Large weights are not read unless keep_constants asks for them. */
  NORMA_FORM_FOLDED,   /* to be written as ONNX (norma_model_save): BatchNormalization, and what stands between it and a
                          layer, folded into weights; level FULL and keep_constants are implied */
  NORMA_FORM_OPTIMIZED /* the same, and what is constant, redundant or dead removed */
} norma_graph_form;

/* What runs do with denormals, numbers nearer to 0 than the smallest normal one of their type (2^-126 in float32), with
 * which many CPUs compute a hundred times slower. */
typedef enum norma_denormals {
  NORMA_DENORMALS_DEFAULT, /* KEEP with NORMA_OPTIMIZE_NONE and with `exact`, else FLUSH */
  NORMA_DENORMALS_KEEP,    /* as IEEE 754 says */
  NORMA_DENORMALS_FLUSH /* they count as 0, as operands and as results, in custom operators too; the control word of the
                              calling thread is as it was when a run returns. KEEP where the CPU has no such mode. */
} norma_denormals;

/* A shape that an input of the model gets: a dimension of -1 stays as the model has it. */
typedef struct norma_input_shape {
  const char *name;
  int rank;
  const int64_t *dims;
} norma_input_shape;

/* Begin with `norma_load_options options = {.struct_size = sizeof options};`. Strings and arrays are borrowed during
 * the load. */
typedef struct norma_load_options {
  size_t struct_size;
  norma_runtime *runtime;             /* default: one of the model's own, with default options */
  norma_optimization optimization;    /* default: NORMA_OPTIMIZE_FULL */
  const char *const *disabled_passes; /* names of passes to leave out, `disabled_pass_count` of them */
  size_t disabled_pass_count;
  const char *const *overridable; /* initializers that are graph inputs stay constant unless named here */
  size_t overridable_count;
  bool exact;                        /* only what rounds as NORMA_OPTIMIZE_NONE does; takes a third more time */
  bool keep_constants;               /* keep weights in their own form too, once a kernel has packed them */
  bool map_file;                     /* map the model file instead of reading it: only for files nobody else changes */
  norma_read_external read_external; /* external data for norma_model_load_memory; default: such models are refused */
  void *read_external_context;
  norma_report_unsupported report; /* called once for each unsupported node before the load fails */
  void *report_context;
  norma_graph_form form;                 /* default: NORMA_FORM_RUN */
  const norma_input_shape *input_shapes; /* fixes dimensions that the model leaves open; contradictions are ARGUMENT */
  size_t input_shape_count;
  norma_denormals denormals;
  double timeout; /* seconds for the whole load, optimisation and packing included; 0: no limit */
  /* Asked again and again from the thread that loads: true ends the load with NORMA_ERROR_CANCELLED. Must be quick; see
   * norma_cancellation. */
  bool (*is_cancelled)(void *context);
  void *cancel_context;
} norma_load_options;

typedef struct norma_model norma_model;

/* Loads, checks and optimises the model in file `path`; external data is read from files beneath its folder. `options`
 * may be NULL. On failure *model is NULL. Errors: ARGUMENT (an option that cannot be: no pass, overridable initializer
 * or input of that name), FILE, FORMAT, INVALID_MODEL, UNSUPPORTED, BUDGET, OUT_OF_MEMORY, CANCELLED, DEADLINE, and
 * THREAD where no runtime is given. */
NORMA_API norma_status norma_model_load(const char *path, const norma_load_options *options, norma_model **model,
                                        norma_error *error);

/* The same from `size` bytes in memory, which are borrowed during the call: the model keeps nothing of them. Names and
 * attributes are copied, and so are weights, most of them straight into the form that kernels read. External data come
 * from options->read_external. */
NORMA_API norma_status norma_model_load_memory(const void *data, size_t size, const norma_load_options *options,
                                               norma_model **model, norma_error *error);

/* Frees the model. Its sessions must be gone before. */
NORMA_API void norma_model_destroy(norma_model *model);

/* The runtime of a model, its own where the load was given none: for values that go into its sessions. */
NORMA_API norma_runtime *norma_model_runtime(const norma_model *model);

/* An input or output of a model. Pointers are valid until the model is destroyed. Types of containers are told in full
 * by norma_graph_value_describe. */
typedef struct norma_value_info {
  const char *name;
  norma_value_kind kind;
  norma_element_type type;               /* of the tensor; for a sequence or optional of tensors, of their elements */
  int rank;                              /* -1: unknown */
  int64_t dims[NORMA_MAX_RANK];          /* -1: dynamic */
  const char *dim_names[NORMA_MAX_RANK]; /* symbolic names such as "batch", or NULL */
  bool optional;                         /* an input that may be left out: it has an initializer */
} norma_value_info;

/* Inputs that a run needs, without constant initializers, in the order of the graph; then outputs. Errors: ARGUMENT
 * (NULL, or an index out of range). */
NORMA_API size_t norma_model_input_count(const norma_model *model);
NORMA_API size_t norma_model_output_count(const norma_model *model);
NORMA_API norma_status norma_model_input(const norma_model *model, size_t index, norma_value_info *info);
NORMA_API norma_status norma_model_output(const norma_model *model, size_t index, norma_value_info *info);

/* --------------------------------------------------------------------------------------------------- inside a model */

/*
 * What a model holds, for looking at it: the graph as it was read (NORMA_FORM_INSPECT, or NORMA_OPTIMIZE_NONE), or as
 * optimisation has left it. Handles and strings are valid until the model is destroyed; nothing is made by any call,
 * and any number of threads may ask at once.
 *
 * Structs that are filled in by the library begin with their size, which the caller sets: begin with
 * `norma_node_info info = {.struct_size = sizeof info};`. Functions that fill them return ARGUMENT for NULL, for a size
 * that cannot be, and for an index out of range, and no other error. Strings in them are never NULL. Functions that
 * return handles return NULL for NULL and out of range.
 */
typedef struct norma_model_info {
  size_t struct_size;
  int64_t ir_version;
  const char *producer_name, *producer_version;
  const char *domain, *doc_string; /* of the model */
  int64_t model_version;
  size_t opset_count, metadata_count;
  size_t function_count;    /* of the file; their calls stand expanded in the graph */
  uint64_t parameter_count; /* elements of constants that something reads, subgraphs included, each once */
  size_t parameter_bytes;   /* which these take in their own form */
  size_t packed_bytes;      /* which the forms for kernels take now */
} norma_model_info;

NORMA_API norma_status norma_model_describe(const norma_model *model, norma_model_info *info);

/* Opset import `index`; the default domain is called "ai.onnx". */
NORMA_API norma_status norma_model_opset(const norma_model *model, size_t index, const char **domain, int64_t *version);

/* Entry `index` of the metadata; the value of a key, NULL if there is none. */
NORMA_API norma_status norma_model_metadata(const norma_model *model, size_t index, const char **key,
                                            const char **value);
NORMA_API const char *norma_model_find_metadata(const norma_model *model, const char *key);

/* A graph, a node in it, a value between nodes, an attribute of a node, and a type. */
typedef struct norma_graph norma_graph;
typedef struct norma_node norma_node;
typedef struct norma_graph_value norma_graph_value;
typedef struct norma_attribute norma_attribute;
typedef struct norma_type norma_type;

/* The main graph. */
NORMA_API const norma_graph *norma_model_graph(const norma_model *model);

typedef struct norma_graph_info {
  size_t struct_size;
  const char *name;
  size_t node_count, value_count;
  size_t input_count, output_count; /* as declared: initializers that are inputs too are among the inputs */
  const norma_node *parent;         /* of a subgraph: the node that it belongs to; else NULL */
} norma_graph_info;

NORMA_API norma_status norma_graph_describe(const norma_graph *graph, norma_graph_info *info);
NORMA_API const norma_graph_value *norma_graph_input(const norma_graph *graph, size_t index);
NORMA_API const norma_graph_value *norma_graph_output(const norma_graph *graph, size_t index);

/* Value `index` of value_count: inputs, initializers (whether anybody reads them or not) and results of nodes; NULL
 * also where optimisation has taken one out of use. */
NORMA_API const norma_graph_value *norma_graph_value_at(const norma_graph *graph, size_t index);

/* The value of that name in this graph or in one around it. */
NORMA_API const norma_graph_value *norma_graph_find_value(const norma_graph *graph, const char *name);

/* Nodes in the order in which they are computed; NULL after the last. */
NORMA_API const norma_node *norma_graph_first_node(const norma_graph *graph);
NORMA_API const norma_node *norma_node_next(const norma_node *node);

typedef struct norma_node_info {
  size_t struct_size;
  const char *name;    /* as norma_error.node; of nodes that optimisation has joined all names, joined by " + " */
  const char *op_type; /* "Conv" */
  const char *domain;  /* "ai.onnx" for the default domain; "norma" for what only optimisation makes */
  const char *overload;
  int64_t opset; /* the version that the model imports for the domain */
  int version;   /* of the operator's definition in force: the opset version that brought it; 0: this build has none */
  size_t input_count, output_count, attribute_count;
  const norma_graph *graph; /* that it stands in */
} norma_node_info;

NORMA_API norma_status norma_node_describe(const norma_node *node, norma_node_info *info);

/* What the node reads and computes; NULL also where an input or output is left out. */
NORMA_API const norma_graph_value *norma_node_input(const norma_node *node, size_t index);
NORMA_API const norma_graph_value *norma_node_output(const norma_node *node, size_t index);

/* Graph `index` below the node, as its attributes hold them (If, Loop, Scan). */
NORMA_API const norma_graph *norma_node_subgraph(const norma_node *node, size_t index);

typedef struct norma_graph_value_info {
  size_t struct_size;
  const char *name;
  const norma_type *type;      /* declared or inferred; never NULL */
  const norma_node *producer;  /* NULL: an input, an initializer, or a constant without a node */
  size_t producer_index;       /* which output of it */
  size_t reader_count;         /* inputs of nodes that read it, in its graph and below */
  bool is_input, is_output;    /* of its graph */
  bool is_initializer;         /* the file gives it contents */
  bool is_constant;            /* it can never have others */
  const norma_value *contents; /* these contents; NULL where there are none, where a kernel has packed them (see
                                   keep_constants), and where they were not read */
} norma_graph_value_info;

NORMA_API norma_status norma_graph_value_describe(const norma_graph_value *value, norma_graph_value_info *info);

/* The name of dimension `axis` of an input or output of the main graph, such as "batch"; NULL if it has none. */
NORMA_API const char *norma_graph_value_dim_name(const norma_graph_value *value, int axis);

/* The node behind reader `index`, in no order; a node that reads the value twice is there twice. */
NORMA_API const norma_node *norma_graph_value_reader(const norma_graph_value *value, size_t index);

/* Types, as far as they are known: NONE, UNDEFINED, rank -1 and dimensions of -1 where they are not, and for NULL. */
NORMA_API norma_value_kind norma_type_kind(const norma_type *type);
NORMA_API norma_element_type norma_type_element(const norma_type *type); /* of a tensor; of a map that of its keys */
NORMA_API int norma_type_rank(const norma_type *type);
NORMA_API const int64_t *norma_type_dims(const norma_type *type);    /* rank many; NULL where the rank is not known */
NORMA_API const norma_type *norma_type_item(const norma_type *type); /* of a sequence or optional; a map's values */

/* The numbers are those of ONNX's AttributeProto.AttributeType. Sparse tensors are dense here. */
typedef enum norma_attribute_kind {
  NORMA_ATTRIBUTE_NONE = 0,
  NORMA_ATTRIBUTE_FLOAT = 1,
  NORMA_ATTRIBUTE_INT = 2,
  NORMA_ATTRIBUTE_STRING = 3,
  NORMA_ATTRIBUTE_TENSOR = 4,
  NORMA_ATTRIBUTE_GRAPH = 5,
  NORMA_ATTRIBUTE_FLOATS = 6,
  NORMA_ATTRIBUTE_INTS = 7,
  NORMA_ATTRIBUTE_STRINGS = 8,
  NORMA_ATTRIBUTE_TENSORS = 9,
  NORMA_ATTRIBUTE_GRAPHS = 10,
  NORMA_ATTRIBUTE_TYPE = 13,
  NORMA_ATTRIBUTE_TYPES = 14
} norma_attribute_kind;

NORMA_API const norma_attribute *norma_node_attribute(const norma_node *node, size_t index);
NORMA_API const norma_attribute *norma_node_find_attribute(const norma_node *node, const char *name);

NORMA_API const char *norma_attribute_name(const norma_attribute *attribute);
NORMA_API norma_attribute_kind norma_attribute_get_kind(const norma_attribute *attribute);

/* The length of a list; 1 for the kinds that are none. */
NORMA_API size_t norma_attribute_count(const norma_attribute *attribute);

/* Element `index` of a list, or the one that there is (index 0); 0, NULL or an empty string where the attribute is of
 * another kind or shorter. Strings are terminated as well. */
NORMA_API int64_t norma_attribute_int(const norma_attribute *attribute, size_t index);
NORMA_API float norma_attribute_float(const norma_attribute *attribute, size_t index);
NORMA_API norma_string norma_attribute_string(const norma_attribute *attribute, size_t index);
NORMA_API const norma_value *norma_attribute_tensor(const norma_attribute *attribute, size_t index);
NORMA_API const norma_graph *norma_attribute_graph(const norma_attribute *attribute, size_t index);
NORMA_API const norma_type *norma_attribute_type(const norma_attribute *attribute, size_t index);

/* ---------------------------------------------------------------------------------------------------------- session */

/* Called during a run, on its thread, each time a step has ended: `done` of `total` steps. */
typedef void (*norma_progress)(void *context, size_t done, size_t total);

/* Begin with `norma_session_options options = {.struct_size = sizeof options};`. */
typedef struct norma_session_options {
  size_t struct_size;
  void *arena;        /* memory for intermediate results, aligned to 64, borrowed until the session is destroyed; */
  size_t arena_bytes; /* a run that needs more ends with NORMA_ERROR_BUDGET. Default: the runtime's allocator */
  int max_plans;      /* plans kept for different input shapes; default 4 */
  bool profile;       /* measure every node of every run */
  norma_progress progress; /* default: none */
  void *progress_context;
  double timeout; /* seconds that norma_session_create, and each norma_session_prepare, may take; 0: no limit */
  bool (*is_cancelled)(void *context); /* asked meanwhile: true ends it with NORMA_ERROR_CANCELLED */
  void *cancel_context;
} norma_session_options;

typedef struct norma_session norma_session;

/* Creates a session on `model`, which must outlive it. Where the model's inputs fix all shapes, the plan is made
 * here. Errors: ARGUMENT (an option that cannot be, or a model of NORMA_FORM_INSPECT), BUDGET (the arena is too small),
 * OUT_OF_MEMORY, CANCELLED, DEADLINE, and what operators say of shapes that do not fit (INPUT). */
NORMA_API norma_status norma_session_create(norma_model *model, const norma_session_options *options,
                                            norma_session **session, norma_error *error);
NORMA_API void norma_session_destroy(norma_session *session);

/* Binds input `name` (NULL: the next one that is not bound, in graph order) to a tensor. The struct is copied, the data
 * is borrowed until the input is set again or the session is destroyed; it is read by each run. Errors: ARGUMENT (no
 * such input, or a tensor whose fields do not agree), INPUT (type, rank or a fixed dimension differs from the model's
 * declaration). */
NORMA_API norma_status norma_session_set_input(norma_session *session, const char *name, const norma_tensor *tensor,
                                               norma_error *error);

/* The same for a value of any kind; `value` is borrowed in the same way. */
NORMA_API norma_status norma_session_set_input_value(norma_session *session, const char *name, const norma_value *value,
                                                     norma_error *error);

/* Forgets all bound inputs. */
NORMA_API void norma_session_clear_inputs(norma_session *session);

/* Lets output `index` be written to the caller's buffer of `bytes` bytes, aligned to 64 (borrowed until bound again or
 * until the session is destroyed; NULL unbinds). A run whose output is larger, or no tensor of numbers, ends with
 * NORMA_ERROR_BUDGET. Errors: ARGUMENT (no such output, or not aligned). */
NORMA_API norma_status norma_session_bind_output(norma_session *session, size_t index, void *buffer, size_t bytes,
                                                 norma_error *error);

/* Makes the plan for the inputs that are bound, without running, so that the next run allocates nothing. Errors: INPUT
 * (an input is missing, or shapes do not fit together), BUDGET, OUT_OF_MEMORY, CANCELLED, DEADLINE, UNSUPPORTED (an
 * operator cannot do it with these shapes). */
NORMA_API norma_status norma_session_prepare(norma_session *session, norma_error *error);

/* What output `index` will be in the next run, for making the buffer that it is bound to: its type and shape, with
 * `data` NULL. Known after norma_session_prepare or a run, until other inputs are bound. Errors: ARGUMENT (no such
 * output), INPUT (there is no plan, or the output is no tensor or has no shape that the inputs' shapes fix). */
NORMA_API norma_status norma_session_planned_output(const norma_session *session, size_t index, norma_tensor *tensor);

/* The bytes of arena that the current plan needs; 0 before there is one. Exact where input shapes fix all shapes; else
 * a part that is known, and runs take more from the allocator. */
NORMA_API size_t norma_session_arena_bytes(const norma_session *session);

/* Whether the current plan's shapes are all fixed by the input shapes. */
NORMA_API bool norma_session_is_static(const norma_session *session);

/* Runs the model on the bound inputs. After the first run with the same input shapes nothing is allocated when
 * norma_session_is_static. On failure the session stays usable and the contents of bound buffers are unspecified.
 * Errors: INPUT, RUN, BUDGET, OUT_OF_MEMORY, CANCELLED, DEADLINE, and as norma_session_prepare. */
NORMA_API norma_status norma_session_run(norma_session *session, norma_error *error);

/* Whether a run is measured. */
typedef enum norma_run_profile {
  NORMA_PROFILE_SESSION, /* as norma_session_options.profile says */
  NORMA_PROFILE_ON,
  NORMA_PROFILE_OFF
} norma_run_profile;

/* What one run is told. Begin with `norma_run_options options = {.struct_size = sizeof options};`. */
typedef struct norma_run_options {
  size_t struct_size;
  double timeout; /* seconds, planning included; 0: as norma_session_set_timeout says; negative: no limit */
  /* Asked again and again, from any thread that computes, several at once: true ends the run with
   * NORMA_ERROR_CANCELLED. Must be quick: best it reads a flag. */
  bool (*is_cancelled)(void *context);
  void *cancel_context;
  norma_progress progress; /* default: the session's */
  void *progress_context;
  norma_run_profile profile;
  norma_log log; /* of what this run does; default: the runtime's */
  void *log_context;
} norma_run_options;

/* The same with options of its own; `options` may be NULL and is copied. Errors: as norma_session_run, ARGUMENT. */
NORMA_API norma_status norma_session_run_with(norma_session *session, const norma_run_options *options,
                                              norma_error *error);

/* All of it in one call: runs the model with these inputs, by name, and gives these outputs. Inputs are borrowed during
 * the call, and bound for it alone; those that are not given are what norma_session_set_input has bound. output_names
 * may name watched values too; NULL means the first `output_count` outputs in graph order. outputs[i] is valid until
 * the next call of run, prepare or destroy (norma_value_copy keeps it longer); on failure all are NULL. Errors: as
 * norma_session_run_with, norma_session_set_input_value, and ARGUMENT (an input twice, no such output). */
NORMA_API norma_status norma_session_run_named(norma_session *session, const norma_run_options *options,
                                               const char *const *input_names, const norma_value *const *inputs,
                                               size_t input_count, const char *const *output_names,
                                               const norma_value **outputs, size_t output_count, norma_error *error);

/* Ends the run or norma_session_prepare in progress with NORMA_ERROR_CANCELLED; may be called from any thread, and
 * before a run (which then ends at once). The request is forgotten when that call has ended. */
NORMA_API void norma_session_cancel(norma_session *session);

/* Each later run ends with NORMA_ERROR_DEADLINE when it takes longer than this; 0: no limit. */
NORMA_API void norma_session_set_timeout(norma_session *session, double seconds);

/* Output `index` of the last run, valid until the next call of run, prepare, watch, unwatch, trim or destroy; NULL
 * before a successful run. */
NORMA_API const norma_value *norma_session_output(const norma_session *session, size_t index);

/* Keeps the value `name` readable after each run, though it is no output ("*": every value). Errors: ARGUMENT where the
 * model has no such value, or where optimisation removed it; OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_session_watch(norma_session *session, const char *name, norma_error *error);

/* Takes one watch back ("*": all). Errors: ARGUMENT (it is not watched). */
NORMA_API norma_status norma_session_unwatch(norma_session *session, const char *name, norma_error *error);

/* A graph input, output or watched value of the last run by name; NULL if there is none. Valid as outputs are; an input
 * is the caller's own. */
NORMA_API const norma_value *norma_session_value(const norma_session *session, const char *name);

/* Calls visit for each watched value and output of the last run, in the order in which they were computed. */
typedef void (*norma_visit_value)(void *context, const char *name, const norma_value *value);
NORMA_API void norma_session_visit_values(const norma_session *session, norma_visit_value visit, void *context);

/* What a session holds. Its weights are the model's: see norma_model_info. */
typedef struct norma_session_memory_info {
  size_t struct_size; /* set by the caller */
  size_t arena_bytes; /* for intermediate results; the largest that a plan has needed, or the caller's */
  bool arena_is_borrowed;
  size_t needed_bytes; /* as norma_session_arena_bytes */
  size_t plan_count;   /* plans that are kept */
} norma_session_memory_info;

/* Errors: ARGUMENT. */
NORMA_API norma_status norma_session_memory(const norma_session *session, norma_session_memory_info *info);

/* Memory of the arena, where values take turns. Steps are those of norma_session_profile. */
typedef struct norma_arena_use {
  const char *value; /* valid until the model is destroyed; NULL: memory that a step needs while it computes */
  size_t offset, bytes;
  size_t first_step, last_step; /* that write and read it; SIZE_MAX: kept after the run */
} norma_arena_use;

/* Calls visit for each use of the arena in the plan for the inputs that are bound, or else of the last run; a value
 * that shares the memory of another is not told. */
typedef void (*norma_visit_arena)(void *context, const norma_arena_use *use);
NORMA_API void norma_session_visit_arena(const norma_session *session, norma_visit_arena visit, void *context);

/* Gives back what the next run can make again: plans, and the arena unless it is the caller's. Inputs stay bound. */
NORMA_API void norma_session_trim(norma_session *session);

/* One step of the plan, summed over the runs since the session was created or the profile reset. */
typedef struct norma_profile_entry {
  const char *node; /* the model's own node names; joined by " + " where nodes were fused */
  const char *op_type;
  const char *kernel; /* the algorithm that was chosen, or "" */
  uint64_t runs;
  uint64_t total_ns;
  uint64_t start_ns; /* of the last run, after the start of that run */
  uint64_t last_ns;  /* duration in the last run */
  double flops;      /* floating-point operations of one run, 0 if unknown; a multiply-add counts two */
  double bytes;      /* bytes read and written in one run, each operand once */
} norma_profile_entry;

/* The steps of the plan for the inputs that are bound, or else of the last run; 0 while no run was measured. The
 * strings of an entry are valid until the model is destroyed. Errors: ARGUMENT (NULL, or an index out of range). */
NORMA_API size_t norma_session_profile_count(const norma_session *session);
NORMA_API norma_status norma_session_profile(const norma_session *session, size_t index, norma_profile_entry *entry);
NORMA_API void norma_session_profile_reset(norma_session *session);

/* -------------------------------------------------------------------------------------------------------- C source */

/* A file of a model that is compiled into a program. */
typedef enum norma_source_part {
  NORMA_SOURCE_DATA,   /* NAME.c: plan, weights, memory, and what runs it */
  NORMA_SOURCE_HEADER, /* NAME.h: what the program calls */
  NORMA_SOURCE_MAIN    /* NAME_main.c: a program to try it with */
} norma_source_part;

/* Begin with `norma_source_options options = {.struct_size = sizeof options};`. */
typedef struct norma_source_options {
  size_t struct_size;
  norma_source_part part;
  const char *name;   /* a C identifier, with which all names in the header begin */
  size_t spare_bytes; /* that operators may take while they run; a run that needs more ends with NORMA_ERROR_BUDGET. Few
                         operators take any: the most that a run took beyond what it began with tells */
} norma_source_options;

/* Writes the plan for the inputs that are bound (norma_session_prepare) as C. What it becomes reads no file and takes
 * no memory but its own arrays; it is built together with the library or its one C file, and gives the bits that a
 * session of one thread gives on the same kernel table, of which it needs one without overrides ("avx2:plain"). Errors:
 * ARGUMENT (options, threads, overrides, or no plan), UNSUPPORTED (nodes whose shapes depend on data, strings,
 * subgraphs; all are named as far as the message goes), FILE (`write` said so), OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_session_write_source(const norma_session *session, const norma_source_options *options,
                                                  norma_write write, void *context, norma_error *error);

/* ------------------------------------------------------------------------------------------------ statistics, edits */

/* Mean and variance of each channel of any value, gathered over any number of runs: watch the value, and add it after
 * each run. All in double; the result depends on the order of the samples alone, not on threads or on how they were cut
 * into batches. One thread at a time. */
typedef struct norma_moments norma_moments;

/* `runtime` must outlive the moments; its threads are used. Errors: ARGUMENT, OUT_OF_MEMORY. */
NORMA_API norma_status norma_moments_create(norma_runtime *runtime, int64_t channels, norma_moments **moments,
                                            norma_error *error);
NORMA_API void norma_moments_destroy(norma_moments *moments);

/* Limits for all later calls with these moments, the time counting from here; NULL: none. What they end has added
 * nothing. Errors: ARGUMENT. */
NORMA_API norma_status norma_moments_set_limits(norma_moments *moments, const norma_limits *limits, norma_error *error);

/* Adds all elements of a tensor N x channels x ... of a float type. On failure nothing was added. Errors: ARGUMENT
 * (type or shape), RUN (an element is NaN or infinite), OUT_OF_MEMORY, BUDGET, CANCELLED, DEADLINE. */
NORMA_API norma_status norma_moments_add(norma_moments *moments, const norma_tensor *tensor, norma_error *error);

/* Adds what `other`, of as many channels, has gathered; `other` stays as it is. Errors: ARGUMENT, OUT_OF_MEMORY,
 * BUDGET. */
NORMA_API norma_status norma_moments_merge(norma_moments *moments, const norma_moments *other, norma_error *error);

/* Forgets what was gathered. */
NORMA_API void norma_moments_reset(norma_moments *moments);
NORMA_API int64_t norma_moments_channels(const norma_moments *moments);

/* The elements of each channel so far (0: none, when the rest is 0), means, and variances divided by that count;
 * `channels` doubles each. Errors: ARGUMENT. */
NORMA_API norma_status norma_moments_read(const norma_moments *moments, double *count, double *mean, double *variance,
                                          norma_error *error);

/* The same with sums of squared deviations in place of variances. */
NORMA_API norma_status norma_moments_total(const norma_moments *moments, double *count, double *mean, double *squares,
                                           norma_error *error);

/* One channel joined with another count, mean and sum of squared deviations, as merge does it. */
NORMA_API void norma_moments_join(double *count, double *mean, double *squares, double other_count, double other_mean,
                                  double other_squares);

/* How far statistics are apart: the difference of means over the stored deviation; and Jeffreys' divergence of two
 * normal distributions, KL(p, q) + KL(q, p). */
NORMA_API double norma_moments_drift(double stored_mean, double stored_variance, double mean);
NORMA_API double norma_moments_divergence(double mean, double variance, double other_mean, double other_variance);

/* What was gathered as bytes, to go on later or elsewhere: the number of samples, and for each bit set in it, from the
 * lowest, a count, `channels` means and `channels` sums of squared deviations, of 8 bytes each, little-endian. Import
 * takes the place of what was gathered, with the same channels; *used is how many of the bytes it was; on failure
 * nothing is gathered. Errors: ARGUMENT; export FILE (`write` said so); import FORMAT, OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_moments_export(const norma_moments *moments, norma_write write, void *context,
                                            norma_error *error);
NORMA_API norma_status norma_moments_import(norma_moments *moments, const void *data, size_t size, size_t *used,
                                            norma_error *error);

/* A model file whose initializers, and contents of Constant nodes, are read and replaced by name, and whose nodes are
 * changed in single parts; every other byte of it stays. Only the main graph is changed. One thread at a time. */
typedef struct norma_editor norma_editor;

/* `runtime` must outlive the editor. Errors: ARGUMENT, FILE, FORMAT, INVALID_MODEL, BUDGET, OUT_OF_MEMORY. */
NORMA_API norma_status norma_editor_open(norma_runtime *runtime, const char *path, norma_editor **editor,
                                         norma_error *error);

/* The same of bytes in memory, which are copied; `read_external` (may be NULL) supplies external data. */
NORMA_API norma_status norma_editor_open_memory(norma_runtime *runtime, const void *data, size_t size,
                                                norma_read_external read_external, void *context, norma_editor **editor,
                                                norma_error *error);

/* Opens `path` within limits, which hold for all later calls with the editor too, the time counting from here; NULL:
 * none. norma_editor_set_limits sets others, from then on. Errors: as norma_editor_open, CANCELLED, DEADLINE; of
 * set_limits ARGUMENT. */
NORMA_API norma_status norma_editor_open_within(norma_runtime *runtime, const char *path, const norma_limits *limits,
                                                norma_editor **editor, norma_error *error);
NORMA_API norma_status norma_editor_set_limits(norma_editor *editor, const norma_limits *limits, norma_error *error);

NORMA_API void norma_editor_destroy(norma_editor *editor);

/* Tells files apart, by length and contents, as they were opened; not made against forgery. */
NORMA_API uint64_t norma_editor_fingerprint(const norma_editor *editor);

/* Describes a tensor and copies its data to `data`, of `bytes` bytes (NULL: only describes it). tensor->data becomes
 * `data`. Errors: ARGUMENT (no such name), BUDGET (too small a place), UNSUPPORTED (strings). */
NORMA_API norma_status norma_editor_read(norma_editor *editor, const char *name, norma_tensor *tensor, void *data,
                                         size_t bytes, norma_error *error);

/* The same as a value of the caller's own, strings too. Errors: ARGUMENT (no such name), UNSUPPORTED (sparse), FILE,
 * INVALID_MODEL, OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_editor_read_value(norma_editor *editor, const char *name, norma_value **value,
                                               norma_error *error);

/* Gives a tensor new contents of the same type and size, which are copied. Errors: ARGUMENT (no such name, another type
 * or size, strings), UNSUPPORTED (sparse), OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_editor_replace(norma_editor *editor, const char *name, const norma_tensor *tensor,
                                            norma_error *error);

/* A new initializer, whose contents are copied; its name begins with `stem`, and *name is valid until the editor is
 * destroyed. Errors: ARGUMENT, UNSUPPORTED (strings), OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_editor_add(norma_editor *editor, const char *stem, const norma_tensor *tensor,
                                        const char **name, norma_error *error);

/* Changes of one node, which is named by its first output: reads `name` as input `index`, keeps its first inputs or
 * outputs alone, gets or loses an attribute. Errors: ARGUMENT (no such node or input), OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_editor_set_input(norma_editor *editor, const char *output, size_t index, const char *name,
                                              norma_error *error);
NORMA_API norma_status norma_editor_keep_inputs(norma_editor *editor, const char *output, size_t count,
                                                norma_error *error);
NORMA_API norma_status norma_editor_keep_outputs(norma_editor *editor, const char *output, size_t count,
                                                 norma_error *error);
NORMA_API norma_status norma_editor_set_int(norma_editor *editor, const char *output, const char *attribute,
                                            int64_t number, norma_error *error);
NORMA_API norma_status norma_editor_remove_attribute(norma_editor *editor, const char *output, const char *attribute,
                                                     norma_error *error);

/* Takes an output of the model away, and what is said of the value's type; nothing to take is no error. Errors:
 * ARGUMENT. */
NORMA_API norma_status norma_editor_remove_output(norma_editor *editor, const char *name, norma_error *error);

/* Writes the model to `path`, whole or not at all; not to the file that was opened. External data are copied beside it
 * where they are not there yet. Errors: FILE, ARGUMENT, INVALID_MODEL (external data outside the model's folder),
 * UNSUPPORTED (external data of a model from memory), OUT_OF_MEMORY, BUDGET, CANCELLED, DEADLINE. */
NORMA_API norma_status norma_editor_save(const norma_editor *editor, const char *path, norma_error *error);

/* The same to wherever `write` puts the bytes; external data stay where they are. Errors: ARGUMENT, FILE (`write` said
 * so), OUT_OF_MEMORY, BUDGET, CANCELLED, DEADLINE. */
NORMA_API norma_status norma_editor_write(const norma_editor *editor, norma_write write, void *context,
                                          norma_error *error);

/* How many nodes of a written model have the bytes that they had, were written new, and are gone. */
typedef struct norma_save_report {
  size_t struct_size; /* set by the caller */
  size_t kept, changed, removed;
} norma_save_report;

/* Writes a model that was loaded with NORMA_FORM_FOLDED or NORMA_FORM_OPTIMIZED as an edit of its source: what
 * optimisation left alone keeps its bytes, with names, comments, metadata and external data. `source` is the file that
 * the model was loaded from, `options` what it was loaded with (may be NULL; level, form and passes do not matter; its
 * limits are those of this call, from now on),
 * `path` another file, which is written whole or not at all. `report` may be NULL. Errors: ARGUMENT (also for a model
 * of NORMA_FORM_INSPECT, and for one whose weights were packed), UNSUPPORTED (a node that has no form in ONNX), FILE,
 * FORMAT, BUDGET, OUT_OF_MEMORY, CANCELLED, DEADLINE. */
NORMA_API norma_status norma_model_save(const norma_model *model, const char *source, const norma_load_options *options,
                                        const char *path, norma_save_report *report, norma_error *error);

/* The same from memory to wherever `write` puts the bytes; external data stay where they are. */
NORMA_API norma_status norma_model_write(const norma_model *model, const void *source, size_t size,
                                         const norma_load_options *options, norma_write write, void *context,
                                         norma_save_report *report, norma_error *error);

/* ------------------------------------------------------------------------------------- BatchNormalization, measured */

/*
 * The BatchNormalization nodes of a model, new statistics for them from data, and models frozen for inference.
 *
 *     norma_bn_open           finds the nodes, and why some cannot be given statistics
 *     norma_bn_choose         which ones are to be measured; gives them levels, since the input of one follows from the
 *                             statistics of those before it. All of one level can be measured at once.
 *     norma_bn_stage          for each level: a model whose outputs are the inputs of these nodes. Run it on the data
 *                             and add each output to norma_moments.
 *     norma_bn_set_statistics writes the results into a norma_editor of the same model
 *
 * One thread at a time.
 */
typedef struct norma_bn_study norma_bn_study;

/* Reads the model; `options` as for norma_model_load (may be NULL), level and form do not matter. Errors: as
 * norma_model_load. From memory: `data` is borrowed until the study is destroyed. */
NORMA_API norma_status norma_bn_open(const char *path, const norma_load_options *options, norma_bn_study **study,
                                     norma_error *error);
NORMA_API norma_status norma_bn_open_memory(const void *data, size_t size, const norma_load_options *options,
                                            norma_bn_study **study, norma_error *error);
NORMA_API void norma_bn_destroy(norma_bn_study *study);

/* The nodes of the main graph, in its order; how many more stand in graphs below nodes, which are left alone; and the
 * model at level NONE, valid as long as the study. */
NORMA_API size_t norma_bn_count(const norma_bn_study *study);
NORMA_API size_t norma_bn_inner_count(const norma_bn_study *study);
NORMA_API const norma_model *norma_bn_model(const norma_bn_study *study);

/* Valid until the study is destroyed. */
typedef struct norma_bn_info {
  size_t struct_size; /* set by the caller */
  const norma_node *node;
  const char *name, *input, *output; /* of the node, of X and of Y */
  int64_t channels;                  /* -1: not known */
  double epsilon, momentum;
  bool is_training;                      /* normalises by its batch */
  const char *mean_name, *variance_name; /* of the values that hold them */
  const norma_tensor *mean, *variance;   /* NULL where they are computed, not stored */
  const norma_tensor *scale, *bias;      /* the same */
  bool is_shared;                        /* something else reads its mean or variance too */
  const char *obstacle;                  /* why it cannot be measured and given statistics; NULL: it can */
  bool is_chosen;
  int level; /* of chosen nodes, from 1; 0: of others, and before norma_bn_choose */
} norma_bn_info;

/* Errors: ARGUMENT. */
NORMA_API norma_status norma_bn_describe(const norma_bn_study *study, size_t index, norma_bn_info *info);

/* Chooses nodes: chosen[i] for node i; NULL: all. Those with an obstacle never are. *levels becomes the largest level,
 * 0 where none is chosen. Errors: ARGUMENT, OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_bn_choose(norma_bn_study *study, const bool *chosen, int *levels, norma_error *error);

typedef enum norma_bn_mode {
  NORMA_BN_AS_IT_IS, /* as the model says */
  NORMA_BN_FIXED,    /* by the statistics given here, rounded to the model's type */
  NORMA_BN_BATCH     /* by the statistics of each batch, as in training */
} norma_bn_mode;

/* How a node normalises in a stage. */
typedef struct norma_bn_setting {
  norma_bn_mode mode;
  const double *mean, *variance; /* of FIXED: `channels` each, borrowed during the call */
  bool is_wanted;                /* X becomes an output of the stage */
  size_t output;                 /* set by the library: which one */
} norma_bn_setting;

/* A model whose only outputs are the inputs X of the nodes that are wanted; what they do not need is not computed, and
 * not asked for. One setting per node of the study. `options` as for norma_model_load. Errors: as norma_model_load;
 * ARGUMENT where none is wanted; FILE where the file has changed in the meantime. */
NORMA_API norma_status norma_bn_stage(const norma_bn_study *study, const norma_load_options *options,
                                      norma_bn_setting *settings, norma_model **stage, norma_error *error);

/* Puts a mean and variance, `channels` doubles each, into an editor that was opened on the same model. Where something
 * else reads the old ones too, the node gets copies of its own: *copies (may be NULL) is how many, 0 to 2. Errors:
 * ARGUMENT (also where a number does not fit the model's type), UNSUPPORTED (an obstacle, or no place for copies),
 * OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_bn_set_statistics(const norma_bn_study *study, size_t index, norma_editor *editor,
                                               const double *mean, const double *variance, size_t *copies,
                                               norma_error *error);

/* How many nodes were in training mode and are not any more. */
typedef struct norma_bn_freeze_report {
  size_t struct_size; /* set by the caller */
  size_t normalizations, dropouts;
} norma_bn_freeze_report;

/* Turns training into inference, in an editor that was opened on the same model: BatchNormalization uses the statistics
 * that are stored, and its further outputs go; Dropout lets everything pass. What goes with them is told by the log of
 * the editor's runtime. `report` may be NULL. Errors: ARGUMENT, INVALID_MODEL (statistics that cannot be divided by),
 * UNSUPPORTED (a node reads an output that only training has), OUT_OF_MEMORY, BUDGET; then the editor holds part of
 * it. */
NORMA_API norma_status norma_bn_freeze(const norma_bn_study *study, norma_editor *editor,
                                       norma_bn_freeze_report *report, norma_error *error);

/* ---------------------------------------------------------------------------------------------------- what there is */

/* Lists of what the build contains. Structs and errors as above; strings are literals. */

/* An operator. */
typedef struct norma_operator_info {
  size_t struct_size;
  const char *domain; /* "ai.onnx" for the default domain */
  const char *name;
  const int *versions; /* opset versions that brought a definition that is implemented, rising */
  size_t version_count;
  int min_inputs, max_inputs; /* -1: any number */
  int min_outputs, max_outputs;
  size_t type_rule_count, attribute_count;
  bool is_inner; /* only optimisation makes such nodes: not for model files */
  /* How it runs faster at NORMA_OPTIMIZE_FULL. In masks bit t stands for element type t. */
  bool is_elementwise;   /* neighbours among such operators are computed together, element by element */
  bool packs_constants;  /* constants, such as weights, are brought into a kernel's own order once per model */
  uint64_t block_types;  /* of input 0, for which it runs in channel blocks */
  uint64_t stored_types; /* for which a bias, a residual or an activation behind it is applied as it stores */
} norma_operator_info;

NORMA_API size_t norma_operator_count(void);
NORMA_API norma_status norma_operator(size_t index, norma_operator_info *info);

/* Whether a model that was loaded with the runtime has operator `index`, or had it on the way to its optimised form:
 * with all of these a smaller build runs the same models in the same way. false for what is not there. */
NORMA_API bool norma_runtime_uses_operator(const norma_runtime *runtime, size_t index);

/* Inputs and outputs of an operator that have one element type in common, and which ones it may be. Inputs and outputs
 * in no rule may have any. */
typedef struct norma_type_rule {
  size_t struct_size;
  uint64_t types;           /* bit t stands for element type t */
  uint32_t inputs, outputs; /* bit i stands for input or output i; the last of any number for all that follow */
} norma_type_rule;

NORMA_API norma_status norma_operator_type_rule(size_t index, size_t rule, norma_type_rule *info);

/* An attribute that an operator knows. */
typedef struct norma_operator_attribute_info {
  size_t struct_size;
  const char *name;
  norma_attribute_kind kind;
  int since_version, until_version; /* of the operator; until 0: all later ones too */
  bool is_required;
} norma_operator_attribute_info;

NORMA_API norma_status norma_operator_attribute(size_t index, size_t attribute, norma_operator_attribute_info *info);

/* A pass of the optimiser, in the order in which they run. */
typedef struct norma_pass_info {
  size_t struct_size;
  const char *name;      /* for norma_load_options.disabled_passes */
  const char *group;     /* passes of a group take turns until none of them changes anything */
  int level;             /* 1: NORMA_OPTIMIZE_BASIC, 2: NORMA_OPTIMIZE_FULL */
  bool changes_rounding; /* left out with norma_load_options.exact */
} norma_pass_info;

NORMA_API size_t norma_pass_count(void);
NORMA_API norma_status norma_pass(size_t index, norma_pass_info *info);

/* Kernels that were compiled for one instruction set. */
typedef struct norma_kernel_table_info {
  size_t struct_size;
  const char *name; /* for norma_runtime_options.kernels */
  bool can_run;     /* on this machine */
  bool is_default;  /* what a runtime takes unless it is told otherwise */
} norma_kernel_table_info;

NORMA_API size_t norma_kernel_table_count(void);
NORMA_API norma_status norma_kernel_table(size_t index, norma_kernel_table_info *info);
/* Multiplies and adds float32 vectors in registers on the calling thread, some ms long, with the instructions of the
 * table of this name; returns the number of operations (two for each multiply-add), 0 for a table that cannot run here.
 * For measuring what the CPU can do at most: any number of threads may call it at once. */
NORMA_API double norma_kernel_table_exercise(const char *name);

/* ------------------------------------------------------------------------------------------------- custom operators */

/* What a custom operator sees while types and shapes are inferred, and while it runs. Valid during the call only. */
typedef struct norma_infer_context norma_infer_context;
typedef struct norma_run_context norma_run_context;

/* An operator of the embedding program. Register it with a runtime before loading models that use it. All strings and
 * the struct are copied; functions are called from any thread that loads or runs models. */
typedef struct norma_custom_operator {
  size_t struct_size; /* sizeof(norma_custom_operator) */
  const char *domain; /* not "", "ai.onnx" or "ai.onnx.ml" */
  const char *name;
  int since_version; /* the first opset version of `domain` that it implements; at least 1 */
  int min_inputs, max_inputs;
  int min_outputs, max_outputs;
  /* Sets type and shape of each output. A shape that depends on the data of inputs is left unset. */
  norma_status (*infer)(norma_infer_context *context, void *user);
  /* Computes the outputs. An output whose shape was set is there; others are made by norma_run_allocate_output. */
  norma_status (*compute)(norma_run_context *context, void *user);
  void *user; /* passed to both functions; borrowed until the runtime is destroyed */
} norma_custom_operator;

/* Errors: ARGUMENT (a struct, name, domain, version or arity that cannot be), OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_runtime_register(norma_runtime *runtime, const norma_custom_operator *custom,
                                              norma_error *error);

/*
 * For `infer`. What it returns other than NORMA_OK refuses the node, with the message of norma_infer_fail if that was
 * called. Names, attributes of every kind and more are told by the functions for nodes above.
 */

/* The node that is asked about; its attributes are there, its inputs' types are those of norma_infer_input. */
NORMA_API const norma_node *norma_infer_node(const norma_infer_context *context);
/* Type and dims of input `index`; rank -1 where unknown, dims -1 where dynamic; false: the input is absent or no
 * tensor. */
NORMA_API bool norma_infer_input(const norma_infer_context *context, int index, norma_element_type *type, int *rank,
                                 int64_t dims[NORMA_MAX_RANK]);
/* The value of input `index` where it is known already, else NULL. */
NORMA_API const norma_tensor *norma_infer_input_value(const norma_infer_context *context, int index);
/* Sets output `index`: rank -1 for unknown; dims[i] -1 for dynamic. Errors: ARGUMENT (no such output, type or
 * shape). */
NORMA_API norma_status norma_infer_set_output(norma_infer_context *context, int index, norma_element_type type,
                                              int rank, const int64_t *dims);
/* Attributes of the node; the default where the node has none. Strings are valid until the model is destroyed. */
NORMA_API int64_t norma_infer_attribute_int(const norma_infer_context *context, const char *name, int64_t otherwise);
NORMA_API float norma_infer_attribute_float(const norma_infer_context *context, const char *name, float otherwise);
NORMA_API const char *norma_infer_attribute_string(const norma_infer_context *context, const char *name,
                                                   const char *otherwise);
/* Refuses the node: `return norma_infer_fail(context, "input 1 has %d axes, expected 2", rank);` The message is
 * completed by node names. */
NORMA_API norma_status norma_infer_fail(norma_infer_context *context, const char *format, ...) NORMA_PRINTF(2, 3);

/*
 * For `compute`: the same for a node that runs; an input that is absent or no tensor is NULL. What it returns other
 * than NORMA_OK ends the run, with the error of the call below that failed, if one did. Outputs that have no memory
 * yet, and strings, sequences, optionals and maps, are made by norma_run_allocate_output or norma_run_set_output.
 */
NORMA_API const norma_node *norma_run_node(const norma_run_context *context);
NORMA_API const norma_tensor *norma_run_input(const norma_run_context *context, int index);
NORMA_API const norma_value *norma_run_input_value(const norma_run_context *context, int index); /* of any kind */
/* The tensor of an output whose shape was set; NULL where it was not, or where nobody wants the output. */
NORMA_API norma_tensor *norma_run_output(norma_run_context *context, int index);
/* Makes output `index`; NULL on failure, which is the run's error (type or shape contradict the model, OUT_OF_MEMORY,
 * BUDGET), and where nobody wants the output. */
NORMA_API norma_tensor *norma_run_allocate_output(norma_run_context *context, int index, norma_element_type type,
                                                  int rank, const int64_t *dims);
/* Output `index` becomes this value, of any kind, which stays the caller's: shared where it owns its data, else copied.
 * Errors: RUN (nobody wants the output, or type or shape contradict the model), OUT_OF_MEMORY, BUDGET. */
NORMA_API norma_status norma_run_set_output(norma_run_context *context, int index, const norma_value *value);
/* Memory until compute returns, aligned to 64; NULL on failure, which is the run's error. */
NORMA_API void *norma_run_allocate(norma_run_context *context, size_t bytes);
/* Calls body on ranges that cover 0 .. count - 1, each of at most `grain`, on the run's threads: `worker` is below
 * norma_run_threads, and no two calls at the same time have the same. Results must not depend on which range goes
 * where. Errors: CANCELLED, DEADLINE (ranges were left out). */
typedef void (*norma_run_body)(void *argument, int64_t begin, int64_t end, int worker);
NORMA_API norma_status norma_run_parallel(norma_run_context *context, int64_t count, int64_t grain, norma_run_body body,
                                          void *argument);
NORMA_API int norma_run_threads(const norma_run_context *context);
NORMA_API int64_t norma_run_attribute_int(const norma_run_context *context, const char *name, int64_t otherwise);
NORMA_API float norma_run_attribute_float(const norma_run_context *context, const char *name, float otherwise);
NORMA_API const char *norma_run_attribute_string(const norma_run_context *context, const char *name,
                                                 const char *otherwise);
/* Ends the run with NORMA_ERROR_RUN: `return norma_run_fail(context, "index %d is out of range", index);` The message
 * is completed by node names. */
NORMA_API norma_status norma_run_fail(norma_run_context *context, const char *format, ...) NORMA_PRINTF(2, 3);
/* Whether the run was cancelled or its deadline has passed: a long computation should ask, and may then return early
 * with NORMA_OK; the run ends with CANCELLED or DEADLINE. */
NORMA_API bool norma_run_cancelled(const norma_run_context *context);

#ifdef __cplusplus
}
#endif

#endif
