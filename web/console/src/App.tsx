import { I18nProvider } from "@lingui/react";
import { createTheme, localStorageColorSchemeManager, MantineProvider } from "@mantine/core";
import { OmniError } from "@omni/shared";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { BrowserRouter, Navigate, Route, Routes, useLocation } from "react-router";
import { useSession } from "./api/session";
import { i18n, t } from "./i18n";
import { LoginPage } from "./login/LoginPage";
import { ErrorBoundary } from "./ui/ErrorBoundary";

const InboxPage = lazy(() => import("./inbox/InboxPage"));

// Sizes and colours are those of ui/global.css: the theme's own variables are not written into the page.
const theme = createTheme({ cursorType: "pointer", respectReducedMotion: true });

const schemes = localStorageColorSchemeManager({ key: "omni.colours" });

export function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // Events keep what is shown up to date; a focus or a remount is no reason to read it again.
        staleTime: Number.POSITIVE_INFINITY,
        gcTime: 30 * 60_000,
        refetchOnWindowFocus: false,
        refetchOnReconnect: false,
        networkMode: "always",
        retry: (n, e) => n < 3 && e instanceof OmniError && e.temporary,
        retryDelay: (n, e) => Math.max(e instanceof OmniError ? e.retryAfterMs : 0, 500 * 2 ** n),
      },
    },
  });
}

export function App() {
  const [queries] = useState(newQueryClient);
  return (
    // The variables are in a style sheet: injected ones would need 'unsafe-inline' in the content security policy.
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      colorSchemeManager={schemes}
      withCssVariables={false}
      withStaticClasses={false}
      deduplicateInlineStyles={false}
    >
      <I18nProvider i18n={i18n}>
        <QueryClientProvider client={queries}>
          <ErrorBoundary>
            <BrowserRouter>
              <Routes>
                <Route path="/login" element={<LoginPage />} />
                <Route path="*" element={<Inside />} />
              </Routes>
            </BrowserRouter>
          </ErrorBoundary>
        </QueryClientProvider>
      </I18nProvider>
    </MantineProvider>
  );
}

/** What only a logged-in user sees. */
function Inside() {
  const status = useSession((s) => s.status);
  const at = useLocation();
  if (status === "loading" || status === "out") {
    return <Navigate to="/login" replace state={{ to: at.pathname + at.search }} />;
  }
  return (
    <Suspense fallback={<p className="sr-only">{t("app.loading")}</p>}>
      <Routes>
        <Route path="/" element={<Navigate to="/inbox/mine" replace />} />
        <Route path="/inbox" element={<Navigate to="/inbox/mine" replace />} />
        <Route path="*" element={<InboxPage />} />
      </Routes>
    </Suspense>
  );
}
