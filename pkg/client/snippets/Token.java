import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.http.auth.aws.signer.AwsV4HttpSigner;

/**
 * Prints the service's answer for one connection, a JSON object with access_token. Arguments: URL
 * with the stage, region, connection. Needs software.amazon.awssdk:auth.
 *
 * <p>Caching: keep the answer in memory until refresh_in seconds after the request, and never use a
 * token after expires_in. Let one thread refresh while the others use the current token. When the
 * API answers 401, ask again with POST and {"rejected_token_id": token_id} as JSON, once. On 429 and
 * 503 wait for Retry-After.
 */
public class Token {
  public static void main(String[] args) throws Exception {
    var uri = URI.create(args[0] + "/connections/" + args[2] + "/token");
    var credentials = DefaultCredentialsProvider.builder().build().resolveCredentials(); // at each request
    var signed = AwsV4HttpSigner.create().sign(sign -> sign
        .identity(credentials)
        .request(SdkHttpRequest.builder().method(SdkHttpMethod.GET).uri(uri).build())
        .putProperty(AwsV4HttpSigner.SERVICE_SIGNING_NAME, "execute-api")
        .putProperty(AwsV4HttpSigner.REGION_NAME, args[1]));
    var request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(35));
    signed.request().forEachHeader((name, values) -> {
      if (!name.equalsIgnoreCase("Host")) values.forEach(value -> request.header(name, value)); // HttpClient sets Host
    });
    var answer = HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString());
    System.out.println(answer.body());
    System.exit(answer.statusCode() == 200 ? 0 : 1);
  }
}
