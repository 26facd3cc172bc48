import io.modelcontextprotocol.common.McpTransportContext;
import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.server.McpServer;
import io.modelcontextprotocol.server.McpSyncServerExchange;
import io.modelcontextprotocol.server.transport.HttpServletSseServerTransportProvider;
import io.modelcontextprotocol.server.transport.HttpServletStatelessServerTransport;
import io.modelcontextprotocol.server.transport.HttpServletStreamableServerTransportProvider;
import io.modelcontextprotocol.spec.McpError;
import io.modelcontextprotocol.spec.McpSchema;
import jakarta.servlet.http.HttpServlet;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiConsumer;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.thread.QueuedThreadPool;

/**
 * Serves MCP by each transport of the official Java SDK, on loopback: below
 * /stateless and below /sessions Streamable HTTP, below /sse HTTP+SSE of
 * 2024-11-05. It prints its port as one line of JSON and ends when its input
 * does.
 *
 * <p>Every server has the same two tools, which do the steps that they are
 * called with, wait at the gates of the test, and tell it what they did: both
 * by HTTP, at the URL in STAGE.
 */
public final class Server {
	private static final HttpClient client = HttpClient.newHttpClient();
	private static final String stage = System.getenv("STAGE");
	private static final McpSchema.ServerCapabilities offered =
		McpSchema.ServerCapabilities.builder().tools(true).logging().build();
	private static final McpSchema.ServerCapabilities offeredAlways =
		McpSchema.ServerCapabilities.builder().tools(true).build();

	/** What holds sessions: each says something on the stream of its own that a session has, by its id. */
	private static final List<BiConsumer<String, McpSchema.ProgressNotification>> streams = new ArrayList<>();

	public static void main(String[] args) throws Exception {
		var jetty = new org.eclipse.jetty.server.Server(new QueuedThreadPool(400)); // a waiting tool holds a thread
		var connector = new ServerConnector(jetty, 1, 1);
		connector.setHost("127.0.0.1");
		jetty.addConnector(connector);
		var context = new ServletContextHandler();
		serve(context, "/stateless/*", stateless());
		serve(context, "/sessions/*", sessions());
		serve(context, "/sse/*", sse());
		jetty.setHandler(context);
		jetty.start();
		System.out.printf("{\"port\":%d}%n", connector.getLocalPort());
		while (System.in.read() >= 0) {
			// until whoever started this has gone
		}
		Runtime.getRuntime().halt(0);
	}

	private static void serve(ServletContextHandler context, String path, HttpServlet servlet) {
		var holder = new ServletHolder(servlet);
		holder.setAsyncSupported(true);
		context.addServlet(holder, path);
	}

	private static HttpServlet stateless() {
		var transport = HttpServletStatelessServerTransport.builder().messageEndpoint("/mcp").build();
		var server = McpServer.sync(transport).serverInfo("isolation", "1").capabilities(offeredAlways);
		for (String tool : List.of("run", "look")) {
			server.toolCall(tool(tool), (McpTransportContext context, McpSchema.CallToolRequest call) -> play(null, call));
		}
		server.build();
		return transport;
	}

	private static HttpServlet sessions() {
		var transport = HttpServletStreamableServerTransportProvider.builder().mcpEndpoint("/mcp").build();
		streams.add((session, text) -> transport.notifyClient(session, McpSchema.METHOD_NOTIFICATION_PROGRESS, text).block());
		withTools(McpServer.sync(transport)).build();
		return transport;
	}

	private static HttpServlet sse() {
		var transport = HttpServletSseServerTransportProvider.builder().sseEndpoint("/mcp").messageEndpoint("/mcp/message").build();
		streams.add((session, text) -> transport.notifyClient(session, McpSchema.METHOD_NOTIFICATION_PROGRESS, text).block());
		withTools(McpServer.sync(transport)).build();
		return transport;
	}

	private static McpServer.SyncSpecification<?> withTools(McpServer.SyncSpecification<?> server) {
		server.serverInfo("isolation", "1").capabilities(offered).requestTimeout(Duration.ofMinutes(2));
		for (String tool : List.of("run", "look")) {
			server.toolCall(tool(tool), Server::play);
		}
		return server;
	}

	private static McpSchema.Tool tool(String name) {
		return McpSchema.Tool.builder(name, Map.of("type", "object")).build();
	}

	/** Does the steps of one call. The exchange is null where there are no sessions. */
	private static McpSchema.CallToolResult play(McpSyncServerExchange exchange, McpSchema.CallToolRequest call) {
		String tag = String.valueOf(call.arguments().get("tag"));
		note(tag, "ran");
		List<String> said = new ArrayList<>();
		try {
			if (call.arguments().get("steps") instanceof List<?> steps) {
				for (Object step : steps) {
					one(exchange, tag, (Map<?, ?>) step, said);
				}
			}
			note(tag, "ended well");
		} catch (Uncaught thrown) {
			throw thrown.cause;
		} catch (Exception failed) {
			said.add("failed: " + failed.getMessage());
			note(tag, "ended failed: " + failed.getMessage());
		}
		return McpSchema.CallToolResult.builder().addTextContent(String.join(" ", said)).build();
	}

	private static void one(McpSyncServerExchange exchange, String tag, Map<?, ?> step, List<String> said) throws Exception {
		String text = text(step, "text");
		int from = number(step, "from");
		String what = text(step, "do");
		if (exchange == null && !List.of("say", "wait", "throw").contains(what)) {
			throw new IllegalStateException("a call without a session has no way to its client");
		}
		switch (what) {
			case "say" -> said.add(text);
			case "wait" -> {
				note(tag, "waits " + text(step, "gate"));
				pass(text(step, "gate"));
			}
			case "notify" -> {
				for (int i = from; i < from + number(step, "n"); i++) {
					log(exchange, "error", numbered(text, i));
				}
			}
			case "progress" -> {
				for (int i = from; i < from + number(step, "n"); i++) {
					exchange.progressNotification(new McpSchema.ProgressNotification(text(step, "token"), i + 1, null, numbered(text, i)));
				}
			}
			case "log" -> log(exchange, text(step, "level"), text);
			case "elicit" -> {
				note(tag, "elicits");
				var answer = exchange.createElicitation(
					McpSchema.ElicitRequest.builder(text, Map.of("type", "object", "properties", Map.of())).build());
				String action = answer.action().name().toLowerCase(Locale.ROOT);
				note(tag, "elicited " + action);
				said.add("elicited " + action);
			}
			case "sample" -> {
				note(tag, "samples");
				var answer = exchange.createMessage(McpSchema.CreateMessageRequest
					.builder(List.of(McpSchema.SamplingMessage.builder(McpSchema.Role.USER, new McpSchema.TextContent(text)).build()), 1)
					.build());
				note(tag, "sampled " + answer.model());
				said.add("sampled " + answer.model());
			}
			case "announce" -> {
				for (var each : streams) {
					each.accept(exchange.sessionId(), new McpSchema.ProgressNotification("own", 1, null, text));
				}
			}
			case "throw" -> throw new Uncaught(thrown.get(text));
			default -> throw new IllegalArgumentException("unknown step " + what);
		}
	}

	/** What a tool may throw, by name. */
	private static final Map<String, RuntimeException> thrown = Map.of(
		"illegal argument", new IllegalArgumentException("thrown"),
		"input and output", new UncheckedIOException(new IOException("thrown")),
		"not found", McpError.builder(McpSchema.ErrorCodes.RESOURCE_NOT_FOUND).message("thrown").build(),
		"anything", new IllegalStateException("thrown"));

	/** Carries what a tool throws past play. */
	private static final class Uncaught extends Exception {
		private static final long serialVersionUID = 1;
		private final RuntimeException cause;

		private Uncaught(RuntimeException cause) {
			this.cause = cause;
		}
	}

	private static void log(McpSyncServerExchange exchange, String level, String text) {
		var named = McpSchema.LoggingLevel.valueOf(level.toUpperCase(Locale.ROOT));
		exchange.loggingNotification(McpSchema.LoggingMessageNotification.builder(named, text).logger("run").build());
	}

	/** The text of one of several notifications: none is part of another. */
	private static String numbered(String text, int i) {
		return text + "-n" + i + ";";
	}

	private static String text(Map<?, ?> step, String name) {
		return step.get(name) instanceof String text ? text : "";
	}

	private static int number(Map<?, ?> step, String name) {
		return step.get(name) instanceof Number number ? number.intValue() : 0;
	}

	/** Tells the test what a call did. */
	private static void note(String tag, String what) {
		try {
			String body = McpJsonDefaults.getMapper().writeValueAsString(Map.of("tag", tag, "what", what));
			client.send(HttpRequest.newBuilder(URI.create(stage + "/note")).POST(HttpRequest.BodyPublishers.ofString(body)).build(),
				HttpResponse.BodyHandlers.discarding());
		} catch (Exception unheard) {
			System.err.println("the test does not hear: " + unheard);
		}
	}

	/** Waits until the test opens a gate. */
	private static void pass(String gate) throws Exception {
		var name = URLEncoder.encode(gate, StandardCharsets.UTF_8);
		var answer = client.send(HttpRequest.newBuilder(URI.create(stage + "/gate/" + name)).build(), HttpResponse.BodyHandlers.discarding());
		if (answer.statusCode() != 200) {
			throw new IllegalStateException("the gate answered " + answer.statusCode());
		}
	}

	private Server() {
	}
}
